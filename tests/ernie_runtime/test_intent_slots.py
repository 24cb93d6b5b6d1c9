"""Intent and slots by hand: numbers in, answers out."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import product
from typing import Any

import numpy as np
import pytest

from ernie_runtime.batching import Batching, Tensors
from ernie_runtime.bio import TagSet
from ernie_runtime.errors import ErnieError, ManifestError
from ernie_runtime.kinds import WindowOutput, get_kind
from ernie_runtime.kinds.intent_slots import allowed_tags, choose
from ernie_runtime.manifest import Manifest
from ernie_runtime.pipeline import Pipeline
from ernie_runtime.steps import EncoderStep, PostprocessStep, TokenizerStep, strings
from ernie_runtime.tokenization import ErnieTokenizer
from ernie_runtime.windows import Document, window_starts

MakeManifest = Callable[..., Manifest]
INTENTS = ("OTHERS", ("music.play", "play music"), "phone_call")
SLOTS = ["song", "singer", "phone_num"]
TAGS = TagSet.of_types(SLOTS)
KIND = get_kind("intent_slots")


@pytest.fixture
def slu(make_manifest: MakeManifest) -> Manifest:
    values = {"song": {"体验": "体面"}, "singer": {"奇隆": "祁隆"}}
    return make_manifest(KIND.name, INTENTS, 8, 3, options={"slots": SLOTS, "values": values})


def rows_of(tags: str, sure: float = 0.9) -> np.ndarray:
    """Log-probabilities of tags such as "O B-song I-song"."""
    rows = np.full((len(tags.split()), len(TAGS.tags)), (1 - sure) / (len(TAGS.tags) - 1))
    for row, tag in zip(rows, tags.split(), strict=True):
        row[TAGS.index[tag]] = sure
    return np.log(rows)


def answer(manifest: Manifest, text: str, slots: np.ndarray, *intents: Sequence[float]) -> Any:
    """The answer for a text of which each character is a token; intents: logits of each window, or of all."""
    room, limits = manifest.limits.max_length - 2, manifest.limits
    offsets = np.stack([np.arange(len(text)), np.arange(len(text)) + 1], 1)
    starts = window_starts(len(text), room, limits.doc_stride, limits.overflow)
    windows, loud, ends = [], np.full((1, slots.shape[1]), 99.0), np.zeros((1, 2), np.int32)
    for number, start in enumerate(starts):
        inner = slice(start, start + room)
        tensors = {
            "intent_logits": np.array(intents[number if len(intents) > 1 else 0], np.float32),
            "slot_logits": np.concatenate([loud, slots[inner], loud]).astype(np.float32),
        }
        windows.append(WindowOutput(np.concatenate([ends, offsets[inner], ends]).astype(np.int32), tensors))
    document = Document(text, len(text), len(windows), False)
    (found,) = KIND.decode([document], [windows], manifest)
    return found


def slots_of(manifest: Manifest, text: str, tags: str) -> list[tuple[str, str, str, int, int]]:
    found = answer(manifest, text, rows_of(tags), [0, 1, 0]).result["slots"]
    assert all(list(s) == ["slot", "text", "value", "start", "end", "score"] for s in found)
    assert all(s["score"] == pytest.approx(0.9, abs=1e-6) for s in found)
    return [(s["slot"], s["text"], s["value"], s["start"], s["end"]) for s in found]


def test_tensors(slu: Manifest) -> None:
    KIND.check(slu)
    assert [(s.name, s.dtype, s.dims) for s in KIND.inputs] == [("TEXT", "BYTES", (1,))]
    outputs = [(s.name, s.dtype, s.dims, s.per_token) for s in KIND.encoder_outputs(slu)]
    assert outputs == [("intent_logits", "FP32", (3,), False), ("slot_logits", "FP32", (-1, 7), True)]
    assert [(s.name, s.dtype, s.dims) for s in KIND.numeric_outputs(slu)] == [
        ("LABEL_ID", "INT64", (1,)),
        ("SCORE", "FP32", (1,)),
    ]


def test_an_utterance(slu: Manifest) -> None:
    found = answer(slu, "放奇隆的歌", rows_of("O B-singer I-singer O O"), np.log([0.1, 0.7, 0.2]))
    assert found.result == {
        "intent": "play music",
        "score": pytest.approx(0.7, abs=1e-6),
        "slots": [{"slot": "singer", "text": "奇隆", "value": "祁隆", "start": 1, "end": 3, "score": 0.9}],
    }
    assert found.numeric == {"LABEL_ID": 1, "SCORE": pytest.approx(0.7)}
    json.dumps(found.result)


@pytest.mark.parametrize(
    ("text", "tags", "found"),
    [
        ("今天", "O O", []),
        ("体验", "B-song I-song", [("song", "体验", "体面", 0, 2)]),
        ("体验", "B-singer I-singer", [("singer", "体验", "体验", 0, 2)]),  # a value belongs to its slot
        ("听体验", "O B-song O", [("song", "体", "体", 1, 2)]),  # and to the whole text of it
        (
            "奇隆体验",
            "B-singer I-singer B-song I-song",
            [("singer", "奇隆", "祁隆", 0, 2), ("song", "体验", "体面", 2, 4)],
        ),
        ("甲乙丙", "B-song B-song B-song", [("song", c, c, i, i + 1) for i, c in enumerate("甲乙丙")]),
        ("拨打110", "O O B-phone_num I-phone_num I-phone_num", [("phone_num", "110", "110", 2, 5)]),
    ],
)
def test_slots(slu: Manifest, text: str, tags: str, found: list[tuple[str, str, str, int, int]]) -> None:
    assert slots_of(slu, text, tags) == found


def test_ties_go_to_the_first_intent(slu: Manifest) -> None:
    for logits, label in (([0, 0, 0], 0), ([0, 3, 3], 1), ([-1e4, 1e4, 1e4], 1)):
        found = answer(slu, "今天", rows_of("O O"), logits)
        assert found.numeric["LABEL_ID"] == label


def test_slots_without_a_beginning_are_repaired(slu: Manifest) -> None:
    rows = rows_of("O I-song I-song")
    rows[1, TAGS.index["B-song"]] = np.log(0.08)
    (slot,) = answer(slu, "听体验", rows, [0, 1, 0]).result["slots"]
    assert (slot["text"], slot["value"]) == ("体验", "体面") and slot["score"] < 0.9


@pytest.mark.parametrize("length", range(1, 24))
def test_a_slot_at_every_place_of_a_long_utterance(slu: Manifest, length: int) -> None:
    text = "".join(chr(0x4E00 + i) for i in range(length))
    for size in (1, 5, 6, 7, 13):
        for start in range(0, length - size + 1):
            tags = ["O"] * start + ["B-song"] + ["I-song"] * (size - 1) + ["O"] * (length - start - size)
            expected = [("song", text[start : start + size], text[start : start + size], start, start + size)]
            assert slots_of(slu, text, " ".join(tags)) == expected


def test_the_intent_of_a_long_utterance_is_the_mean_over_its_windows(slu: Manifest) -> None:
    text, tags = "字" * 9, " ".join(["O"] * 9)  # windows of 6 tokens from 0 and 3
    first, second = [0.5, 0.4, 0.1], [0.1, 0.6, 0.3]
    found = answer(slu, text, rows_of(tags), np.log(first), np.log(second))
    assert found.result["intent"] == "play music"
    assert found.numeric["SCORE"] == pytest.approx(0.5, abs=1e-6)


def test_windows_count_by_their_tokens(slu: Manifest) -> None:
    windows = [
        WindowOutput(
            np.stack([np.arange(n), np.arange(n) + 1], 1).astype(np.int32),
            {"intent_logits": np.log(np.array(p, np.float32)), "slot_logits": np.zeros((n, 7), np.float32)},
        )
        for n, p in ((8, [0.8, 0.1, 0.1]), (4, [0.1, 0.1, 0.8]))
    ]
    (found,) = KIND.decode([Document("字" * 8, 8, 2, False)], [windows], slu)
    assert found.numeric["LABEL_ID"] == 0
    assert found.numeric["SCORE"] == pytest.approx(0.75 * 0.8 + 0.25 * 0.1, abs=1e-6)


OF = {"OTHERS": [], "music.play": ["song", "singer"]}  # a phone_call may have any


@pytest.mark.parametrize(
    ("tags", "sure", "intents", "found"),
    [
        ("O B-song I-song", 0.9, [0.3, 0.6, 0.1], ("play music", ["song"])),  # they agree
        ("O B-song I-song", 0.9, [0.6, 0.3, 0.1], ("play music", ["song"])),  # surer of the song than of OTHERS
        ("O B-song I-song", 0.3, [0.98, 0.01, 0.01], ("OTHERS", [])),  # and less sure
        ("O B-phone_num I-phone_num", 0.9, [0.3, 0.6, 0.1], ("phone_call", ["phone_num"])),
        ("O B-phone_num I-phone_num", 0.9, [0.2, 0.2, 0.6], ("phone_call", ["phone_num"])),
        ("O B-song O", 0.9, [0.3, 0.3, 0.4], ("phone_call", ["song"])),
        ("O O O", 0.9, [0.2, 0.5, 0.3], ("play music", [])),  # an intent needs no slots
        ("B-song B-phone_num O", 0.9, [0.2, 0.7, 0.1], ("phone_call", ["song", "phone_num"])),
    ],
)
def test_intent_and_slots_fit_each_other(
    make_manifest: MakeManifest, tags: str, sure: float, intents: list[float], found: tuple[str, list[str]]
) -> None:
    manifest = make_manifest(KIND.name, INTENTS, 8, 3, options={"slots": SLOTS, "slots_of": OF})
    KIND.check(manifest)
    given = answer(manifest, "字字字", rows_of(tags, sure), np.log(intents))
    assert (given.result["intent"], [slot["slot"] for slot in given.result["slots"]]) == found
    assert given.numeric["SCORE"] == pytest.approx(intents[given.numeric["LABEL_ID"]], abs=1e-6)
    assert given.result["score"] == pytest.approx(given.numeric["SCORE"], abs=1e-6)


def test_the_choice_against_brute_force(make_manifest: MakeManifest) -> None:
    """All pairs of an intent and a legal path that it can have."""
    manifest = make_manifest(
        KIND.name, INTENTS, options={"slots": ["song", "singer"], "slots_of": {"OTHERS": ["song"], "music.play": []}}
    )
    tags = TagSet.of_types(["song", "singer"])
    allowed = allowed_tags(tags, manifest)
    assert allowed.tolist() == [[True] * 3 + [False] * 2, [True] + [False] * 4, [True] * 5]
    rng, joined, changed = np.random.default_rng(2), np.zeros(3, bool), 0
    for _ in range(200):
        scores = np.log(rng.dirichlet(np.full(5, 0.4), 3) + 1e-6)
        intent = rng.dirichlet(np.ones(3))
        best, path = choose(intent, tags, allowed, scores, joined)
        pairs = [
            (np.log(intent[i]) + scores[range(3), p].sum(), i, p)
            for i in range(3)
            for p in product(range(5), repeat=3)
            if allowed[i, list(p)].all() and tags.starts[p[0]] and tags.follows[p[:-1], p[1:]].all()
        ]
        assert (best, tuple(path.tolist())) == max(pairs)[1:]
        changed += best != int(np.argmax(intent))
    assert changed > 20


def test_ties_of_pairs_go_to_the_first_intent(make_manifest: MakeManifest) -> None:
    manifest = make_manifest(KIND.name, ("a", "b", "c", "d"), options={"slots": ["x"], "slots_of": {"a": [], "d": []}})
    tags = TagSet.of_types(["x"])
    scores = np.log(np.array([[0.1, 0.8, 0.1]]))
    best, path = choose(np.array([0.4, 0.2, 0.2, 0.2]), tags, allowed_tags(tags, manifest), scores, np.zeros(1, bool))
    assert (best, path.tolist()) == (1, [1])


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_give_no_answer(slu: Manifest, bad: float) -> None:
    with pytest.raises(ErnieError, match="not finite"):
        answer(slu, "今天", rows_of("O O"), [bad] * 3)
    with pytest.raises(ErnieError, match="not finite"):
        answer(slu, "今天", np.full((2, 7), bad), [0, 1, 0])


def test_nothing_to_decode(slu: Manifest) -> None:
    assert KIND.decode([], [], slu) == []


@pytest.mark.parametrize(
    ("labels", "options", "says"),
    [
        (("a",), {"slots": ["x"]}, "needs at least two labels, its intents"),
        (INTENTS, {}, r"needs options\.slots, a list of the slot types"),
        (INTENTS, {"slots": []}, r"needs options\.slots"),
        (INTENTS, {"slots": "song"}, r"needs options\.slots"),
        (INTENTS, {"slots": ["song", ""]}, r"needs options\.slots"),
        (INTENTS, {"slots": ["song", 5]}, r"needs options\.slots"),
        (INTENTS, {"slots": ["song", "song"]}, "names a slot type twice"),
        (INTENTS, {"slots": ["song"], "values": ["x"]}, r"options\.values must be a table"),
        (INTENTS, {"slots": ["song"], "values": {"song": "x"}}, r"options\.values must be a table"),
        (INTENTS, {"slots": ["song"], "values": {"singer": {}}}, "has 'singer', which options.slots has not"),
        (
            INTENTS,
            {"slots": ["song"], "values": {"song": {"a": 5}}},
            r"options\.values\.song has a value that is not a",
        ),
    ],
)
def test_manifests_that_do_not_fit(
    make_manifest: MakeManifest, labels: tuple[Any, ...], options: dict[str, Any], says: str
) -> None:
    with pytest.raises(ManifestError, match=says) as raised:
        KIND.check(make_manifest(KIND.name, labels, options=options))
    assert str(raised.value).startswith("task toy: intent_slots")


class Caller:
    """An engine that hears a telephone number in every token that holds a digit, and a call where there is one."""

    def __init__(self, tokenizer: ErnieTokenizer) -> None:
        digits = [any(c.isdigit() for c in tokenizer.token(i)) for i in range(tokenizer.vocab_size)]
        self.digit = np.array(digits)

    def __call__(self, tensors: Tensors) -> Tensors:
        digit = self.digit[tensors["input_ids"]]
        slots = np.zeros((*digit.shape, len(TAGS.tags)), np.float32)
        begins = digit & ~np.roll(digit, 1, axis=1)
        slots[..., TAGS.index["O"]] = np.where(digit, 0, 9)
        slots[..., TAGS.index["B-phone_num"]] = np.where(begins, 9, 0)
        slots[..., TAGS.index["I-phone_num"]] = np.where(digit & ~begins, 9, 0)
        calls = digit.any(axis=1)
        return {
            "intent_logits": np.stack([9.0 * ~calls, 0 * calls, 9.0 * calls], 1).astype(np.float32),
            "slot_logits": slots,
        }


TEXTS = ["打电话给18866668888", "今天天气", "", "先拨打10086再拨打12306谢谢", "再见"]
FOUND = [["18866668888"], [], None, ["10086", "12306"], []]


@pytest.mark.parametrize(("max_length", "doc_stride"), [(6, 3), (8, 2), (32, 16)])
def test_through_the_steps_and_in_one_process(
    make_manifest: MakeManifest, tokenizer: ErnieTokenizer, max_length: int, doc_stride: int
) -> None:
    """Windows start inside numbers; a text that is empty fails alone."""
    manifest = make_manifest(KIND.name, INTENTS, max_length, doc_stride, options={"slots": SLOTS})
    engine = Caller(tokenizer)
    request = {"TEXT": strings([text.encode() for text in TEXTS])}
    tokenized: Any = TokenizerStep(manifest, tokenizer).run([request])
    encoded: Any = EncoderStep(engine, ["slot_logits"], Batching(64, 16)).run(tokenized)
    (outcome,) = PostprocessStep(manifest).run([{**tokenized[0], **encoded[0]}])
    assert isinstance(outcome, dict)
    assert outcome["LABEL_ID"].dtype == np.int64 and outcome["SCORE"].dtype == np.float32
    assert outcome["LABEL_ID"].shape == outcome["SCORE"].shape == (5, 1)
    results = [json.loads(raw) for raw in outcome["RESULT"][:, 0]]
    assert results[2]["error"]["code"] == "INVALID_ARG" and outcome["LABEL_ID"][2] == -1
    answers = Pipeline(manifest, tokenizer, engine).predict([(text,) for text in TEXTS])
    assert answers[2] == "the text is empty"
    for result, found, other, text, label in zip(results, FOUND, answers, TEXTS, outcome["LABEL_ID"], strict=True):
        if found is None or isinstance(other, str):
            continue
        assert [slot["text"] for slot in result["slots"]] == found
        assert all(text[slot["start"] : slot["end"]] == slot["text"] for slot in result["slots"])
        assert result == other.result
        assert result["windows"] == (1 if max_length == 32 else result["windows"]) and not result["truncated"]
        if result["windows"] == 1:
            assert label == (2 if found else 0)
