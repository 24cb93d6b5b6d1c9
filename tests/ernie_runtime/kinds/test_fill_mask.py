"""Fill-mask: where the masks of a text are, which window answers each, and what it says."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ernie_runtime.engines import Tensors
from ernie_runtime.errors import EngineError, InvalidItem
from ernie_runtime.kinds import WindowOutput, get_kind
from ernie_runtime.kinds.fill_mask import MASK, options_of
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import Batching
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import MAX_WINDOWS, Document, window_starts

MakeManifest = Callable[..., Manifest]
KIND = get_kind("fill_mask")
WORDS = ["[PAD]", "[CLS]", "[SEP]", "[MASK]", "[UNK]", "the", "ing", "##ing", "##er", "[unused7]", "##", "好"]


def toy(make_manifest: MakeManifest, words: Sequence[str] = WORDS, top_k: int = 3, **fields: Any) -> Manifest:
    options = {"top_k": top_k, **options_of(words)}
    return make_manifest("fill_mask", (), vocabulary_size=len(words), **{"options": options, **fields})


@pytest.fixture
def real(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> Manifest:
    """The shipped vocabulary; windows of 16 tokens."""
    return toy(make_manifest, [tokenizer.token(i) for i in range(tokenizer.vocab_size)], max_chars=500)


def row(*scores: tuple[str, float]) -> tuple[list[float], list[int]]:
    return [score for _, score in scores], [WORDS.index(word) for word, _ in scores]


def decode(manifest: Manifest, masks: list[list[int]], *windows: list[tuple[list[float], list[int]]]) -> dict[str, Any]:
    """The result for windows given as rows of (scores, ids)."""
    outputs = [
        WindowOutput(
            np.zeros((len(rows), 2), np.int32),
            {
                "top_scores": np.array([scores for scores, _ in rows], np.float32),
                "top_ids": np.array([ids for _, ids in rows], np.int64),
            },
        )
        for rows in windows
    ]
    document = Document(text="", tokens=9, windows=len(windows), truncated=False, error=None, extra={"masks": masks})
    (answer,) = KIND.decode([document], [outputs], manifest)
    return answer.result


NOTHING = row(("[PAD]", 0.9), ("[CLS]", 0.05), ("the", 0.03))


def test_masks_in_the_order_of_the_text(make_manifest: MakeManifest) -> None:
    first = [NOTHING, row(("the", 0.5), ("好", 0.3), ("##er", 0.1)), NOTHING]
    second = [NOTHING, NOTHING, row(("好", 0.8), ("the", 0.1), ("##er", 0.05))]
    result = decode(toy(make_manifest), [[0, 1, 3, 9], [1, 2, 40, 46], [0, 0, 50, 56]], first, second)
    assert result["positions"] == [[3, 9], [40, 46], [50, 56]]
    assert result["masks"] == [
        [{"token": "the", "score": 0.5}, {"token": "好", "score": 0.3}, {"token": "er", "score": 0.1}],
        [{"token": "好", "score": 0.8}, {"token": "the", "score": 0.1}, {"token": "er", "score": 0.05}],
        [{"token": "the", "score": 0.03}],
    ]


def test_special_and_unused_tokens_are_no_answers(make_manifest: MakeManifest) -> None:
    rows = [row(("[UNK]", 0.4), ("[unused7]", 0.2), ("[MASK]", 0.1), ("##", 0.05), ("##er", 0.04))]
    (mask,) = decode(toy(make_manifest), [[0, 0, 0, 6]], rows)["masks"]
    assert mask == [{"token": "##", "score": 0.05}, {"token": "er", "score": 0.04}]


def test_ties_go_to_the_lower_id_whatever_the_order_of_the_engine(make_manifest: MakeManifest) -> None:
    pairs = [("好", 0.25), ("##er", 0.25), ("the", 0.25)]
    for scores in (pairs, pairs[::-1]):
        (mask,) = decode(toy(make_manifest), [[0, 0, 0, 6]], [row(*scores)])["masks"]
        assert [m["token"] for m in mask] == ["the", "er", "好"]


def test_tokens_that_read_the_same_are_one_answer(make_manifest: MakeManifest) -> None:
    rows = [row(("the", 0.4), ("##ing", 0.3), ("ing", 0.2), ("好", 0.05))]
    (mask,) = decode(toy(make_manifest, top_k=2), [[0, 0, 0, 6]], rows)["masks"]
    assert mask == [{"token": "ing", "score": 0.5}, {"token": "the", "score": 0.4}]


def test_a_broken_encoder_is_no_answer(make_manifest: MakeManifest) -> None:
    with pytest.raises(EngineError, match="not finite"):
        decode(toy(make_manifest), [[0, 0, 0, 6]], [row(("the", float("nan")), ("好", 0.1))])


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        (f"{MASK}京是首都", [MASK, "京", "是", "首", "都"]),
        (f"北京是首{MASK}", ["北", "京", "是", "首", MASK]),
        (MASK, [MASK]),
        (f"我{MASK}{MASK}你", ["我", MASK, MASK, "你"]),
        (f"  a{MASK}b\u0301 ", ["a", MASK, "b"]),
        (f"[mask]{MASK}", ["[", "mas", "##k", "]", MASK]),
        (f"[MASK{MASK}MASK]", ["[", "mas", "##k", MASK, "mas", "##k", "]"]),
        (f"龘{MASK}\U00020000", ["[UNK]", MASK, "[UNK]"]),
    ],
    ids=["start", "end", "alone", "adjacent", "inside a word", "lower case", "brackets", "unknown"],
)
def test_masks_become_mask_tokens(real: Manifest, tokenizer: ErnieTokenizer, text: str, tokens: list[str]) -> None:
    (document,), (window,) = KIND.documents([(text,)], tokenizer, real)
    assert document.error is None and document.tokens == len(tokens)
    inner = window.input_ids[1:-1].tolist()
    assert [tokenizer.token(i) for i in inner] == tokens
    assert [i == tokenizer.mask_id for i in inner] == [token == MASK for token in tokens]
    for index, (number, place, start, end) in enumerate(document.extra["masks"]):
        assert (number, window.input_ids[place]) == (0, tokenizer.mask_id)
        assert text[start:end] == MASK and text[:start].count(MASK) == index
    offsets = window.offsets[1:-1].tolist()
    assert offsets == sorted(offsets)
    slices = [text[start:end] for start, end in offsets]
    for piece, token in zip(slices, tokens, strict=True):
        assert token == "[UNK]" or piece == token or piece.lower().startswith(token.removeprefix("##"))


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("今天天气很好", r"the text has no \[MASK\]: write \[MASK\] where a word is missing"),
        ("今天[mask]很好", r"the text has no \[MASK\]"),
        ("今天[ MASK ]很好【MASK】", r"the text has no \[MASK\]"),
        ("", "the text is empty"),
        (" \n", "only spaces or control characters"),
        (b"\xff[MASK]", "not UTF-8"),
        ("长" * 495 + MASK, r"the text has 501 characters, this task takes at most 500"),
    ],
)
def test_refused(real: Manifest, tokenizer: ErnieTokenizer, text: str | bytes, fault: str) -> None:
    raw = text if isinstance(text, bytes) else text.encode()
    (outcome,) = TokenizerStep(real, tokenizer).run([{"TEXT": strings([raw])}])
    assert isinstance(outcome, InvalidItem)
    with pytest.raises(InvalidItem, match=f"^item 0: .*{fault}"):
        raise outcome


def context_teller(tensors: Tensors) -> Tensors:
    """The best id of a token says how far it lies from the nearer edge of its row's real tokens; others follow it."""
    ids = tensors["input_ids"]
    real = (ids != 0).sum(1, keepdims=True)
    place = np.arange(ids.shape[1])[None]
    context = np.where(place < real, np.minimum(place, real - 1 - place), 900)
    count = 8
    scores = np.broadcast_to(np.float32(0.5) ** np.arange(1, count + 1, dtype=np.float32), (*ids.shape, count))
    return {"top_scores": np.ascontiguousarray(scores), "top_ids": 5 + context[..., None] + 20 * np.arange(count)}


def test_each_mask_is_answered_where_it_has_most_context(real: Manifest, tokenizer: ErnieTokenizer) -> None:
    """Windows of 14 tokens, 8 apart; a mask after every 10 characters, the last one at the end."""
    text = f"{'中国人民银行北京大学'}{MASK}" * 12
    pipeline = Pipeline(real, tokenizer, context_teller)
    (answer,) = pipeline.predict([(text,)])
    assert not isinstance(answer, str)
    tokens, room = 12 * 11, real.limits.max_length - 2
    starts = window_starts(tokens, room, real.limits.doc_stride, "window")
    assert answer.result["tokens"] == tokens and not answer.result["truncated"]
    used = set()
    for number, mask in enumerate(answer.result["masks"]):
        at = 11 * number + 10
        best = max((min(at - s, room - 1 - at + s), -s) for s in starts if s <= at < s + room)
        assert mask[0]["token"] == tokenizer.token(5 + best[0] + 1).removeprefix("##")  # [CLS], [SEP] are one more
        used.add(-best[1])
    assert answer.result["windows"] == len(used) < len(starts)  # a window without an answer is not run
    assert [text[start:end] for start, end in answer.result["positions"]] == [MASK] * 12


TEXTS = [
    f"今天天气很{MASK}，我们出去{MASK}吧。",
    f"{MASK}",
    f"{'中国人民银行' * 5}{MASK}{'北京大学' * 9}{MASK}{MASK}",
    "今天",
    f"cafe\u0301 {MASK} \U0001f600",
    "",
]


def test_the_steps_answer_like_the_pipeline(real: Manifest, tokenizer: ErnieTokenizer) -> None:
    answers = Pipeline(real, tokenizer, context_teller, Batching(token_budget=60, max_rows=3)).predict(
        [(text,) for text in TEXTS]
    )
    encoder = EncoderStep(context_teller, ["top_scores", "top_ids"], Batching(token_budget=60, max_rows=3))
    requests = [TEXTS, TEXTS[:1], TEXTS[2:3]]
    tokenized = TokenizerStep(real, tokenizer, (16,)).run(
        [{"TEXT": strings([t.encode() for t in r])} for r in requests]
    )
    flow: list[Any] = list(tokenized)
    assert "OFFSETS" not in flow[0] and all(len(rows["input_ids"]) <= MAX_WINDOWS for rows in flow)
    encoded: list[Any] = list(encoder.run(flow))
    assert encoded[0]["top_ids"].dtype == np.int64 and encoded[0]["top_ids"].shape[2] == 8
    served = PostprocessStep(real).run([{**t, **e} for t, e in zip(flow, encoded, strict=True)])
    for request, outcome in zip(requests, served, strict=True):
        assert not isinstance(outcome, InvalidItem)
        for i, (text, raw) in enumerate(zip(request, outcome["RESULT"][:, 0], strict=True)):
            expected, result = answers[TEXTS.index(text)], json.loads(raw)
            if isinstance(expected, str):
                assert result == {"error": {"code": "INVALID_ARG", "message": f"item {i}: {expected}"}}
            else:
                assert result == expected.result


def test_a_draft_needs_no_tokens_yet(make_manifest: MakeManifest) -> None:
    KIND.check(toy(make_manifest, options={}, version=0))


def test_k_leaves_room_for_special_tokens_and_fits_the_vocabulary(make_manifest: MakeManifest) -> None:
    words = [*WORDS, *(f"w{i}" for i in range(20))]
    for manifest, most in ((toy(make_manifest, words, 5), 10), (toy(make_manifest, WORDS, 50), 12)):
        scores, ids = KIND.encoder_outputs(manifest)
        assert (scores.name, scores.dtype, scores.dims) == ("top_scores", "FP32", (-1, most))
        assert (ids.name, ids.dtype, ids.dims) == ("top_ids", "INT64", (-1, most))
        assert scores.per_token and ids.per_token
