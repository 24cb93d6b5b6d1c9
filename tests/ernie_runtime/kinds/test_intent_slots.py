"""Intent and slots by hand: numbers in, answers out."""

from __future__ import annotations

import json

import numpy as np
import pytest

from ernie_runtime.errors import ErnieError
from ernie_runtime.kinds import WindowOutput
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.windows import Document

from ..utterances import INTENTS, KIND, SLOTS, TAGS, MakeManifest, answer, rows_of


@pytest.fixture
def slu(make_manifest: MakeManifest) -> Manifest:
    values = {"song": {"体验": "体面"}, "singer": {"奇隆": "祁隆"}}
    return make_manifest(KIND.name, INTENTS, 8, 3, options={"slots": SLOTS, "values": values})


def slots_of(manifest: Manifest, text: str, tags: str) -> list[tuple[str, str, str, int, int]]:
    slots = answer(manifest, text, rows_of(tags), [0, 1, 0]).result["slots"]
    assert all(list(s) == ["slot", "text", "value", "start", "end", "score"] for s in slots)
    assert all(s["score"] == pytest.approx(0.9, abs=1e-6) for s in slots)
    return [(s["slot"], s["text"], s["value"], s["start"], s["end"]) for s in slots]


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
    decoded = answer(slu, "放奇隆的歌", rows_of("O B-singer I-singer O O"), np.log([0.1, 0.7, 0.2]))
    assert decoded.result == {
        "intent": "play music",
        "score": pytest.approx(0.7, abs=1e-6),
        "slots": [{"slot": "singer", "text": "奇隆", "value": "祁隆", "start": 1, "end": 3, "score": 0.9}],
    }
    assert decoded.numeric == {"LABEL_ID": 1, "SCORE": pytest.approx(0.7)}
    json.dumps(decoded.result)


@pytest.mark.parametrize(
    ("text", "tags", "slots"),
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
def test_slots(slu: Manifest, text: str, tags: str, slots: list[tuple[str, str, str, int, int]]) -> None:
    assert slots_of(slu, text, tags) == slots


def test_ties_go_to_the_first_intent(slu: Manifest) -> None:
    for logits, label in (([0, 0, 0], 0), ([0, 3, 3], 1), ([-1e4, 1e4, 1e4], 1)):
        decoded = answer(slu, "今天", rows_of("O O"), logits)
        assert decoded.numeric["LABEL_ID"] == label


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
    decoded = answer(slu, text, rows_of(tags), np.log(first), np.log(second))
    assert decoded.result["intent"] == "play music"
    assert decoded.numeric["SCORE"] == pytest.approx(0.5, abs=1e-6)


def test_windows_count_by_their_tokens(slu: Manifest) -> None:
    windows = [
        WindowOutput(
            np.stack([np.arange(n), np.arange(n) + 1], 1).astype(np.int32),
            {"intent_logits": np.log(np.array(p, np.float32)), "slot_logits": np.zeros((n, 7), np.float32)},
        )
        for n, p in ((8, [0.8, 0.1, 0.1]), (4, [0.1, 0.1, 0.8]))
    ]
    (decoded,) = KIND.decode([Document(text="字" * 8, tokens=8, windows=2, truncated=False)], [windows], slu)
    assert decoded.numeric["LABEL_ID"] == 0
    assert decoded.numeric["SCORE"] == pytest.approx(0.75 * 0.8 + 0.25 * 0.1, abs=1e-6)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_give_no_answer(slu: Manifest, value: float) -> None:
    with pytest.raises(ErnieError, match="not finite"):
        answer(slu, "今天", rows_of("O O"), [value] * 3)
    with pytest.raises(ErnieError, match="not finite"):
        answer(slu, "今天", np.full((2, 7), value), [0, 1, 0])


def test_nothing_to_decode(slu: Manifest) -> None:
    assert KIND.decode([], [], slu) == []
