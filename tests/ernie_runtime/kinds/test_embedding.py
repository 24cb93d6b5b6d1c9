"""Vectors and cosines by hand: windows, order, zeros, refusals, and the steps of a server on pairs."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from ernie_runtime.engines import Tensors
from ernie_runtime.errors import EngineError, InvalidItem
from ernie_runtime.kinds import WindowOutput, get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import Batching
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer
from ernie_runtime.text.windows import MAX_WINDOWS, Document

MakeManifest = Callable[..., Manifest]
Rows = Sequence[tuple[int, Sequence[float]]]  # windows as (tokens, embedding)
DIMENSION = 6


def window(tokens: int, vector: Sequence[float]) -> WindowOutput:
    return WindowOutput(np.zeros((tokens + 2, 2), np.int32), {"embedding": np.array(vector, np.float32)})


@pytest.fixture
def embedding(make_manifest: MakeManifest) -> Manifest:
    return make_manifest("embedding", (), options={"dimension": 2})


@pytest.fixture
def similarity(make_manifest: MakeManifest) -> Manifest:
    return make_manifest("similarity", (), options={"dimension": 2})


def embed(manifest: Manifest, *texts: Rows) -> list[Any]:
    documents = [Document(text="", tokens=1, windows=len(rows), truncated=False) for rows in texts]
    outputs = [[window(*row) for row in rows] for rows in texts]
    return get_kind("embedding").decode(documents, outputs, manifest)


def compare(manifest: Manifest, *pairs: tuple[Rows, Rows]) -> list[Any]:
    documents = [
        Document(text="", tokens=2, windows=len(a) + len(b), truncated=False, error=None, extra={"first": len(a)})
        for a, b in pairs
    ]
    outputs = [[window(*row) for row in (*a, *b)] for a, b in pairs]
    return get_kind("similarity").decode(documents, outputs, manifest)


def test_a_vector_has_length_one(embedding: Manifest) -> None:
    first, second = embed(embedding, [(3, (3, 4))], [(1, (0, -9))])
    assert first.numeric["EMBEDDING"].tolist() == pytest.approx([0.6, 0.8])
    assert second.numeric["EMBEDDING"].tolist() == [0, -1]
    assert first.result == second.result == {"dimension": 2}
    assert first.numeric["EMBEDDING"].dtype == np.float32


def test_normalize_off_leaves_the_length(make_manifest: MakeManifest) -> None:
    manifest = make_manifest("embedding", (), options={"dimension": 2, "normalize": False})
    (answer,) = embed(manifest, [(3, (3, 4))])
    assert answer.numeric["EMBEDDING"].tolist() == [3, 4]


def test_windows_count_by_their_tokens(embedding: Manifest, make_manifest: MakeManifest) -> None:
    manifest = make_manifest("embedding", (), options={"dimension": 2, "normalize": False})
    long, short = embed(manifest, [(30, (1, 0)), (10, (0, 1))], [(5, (8, 8))])
    assert long.numeric["EMBEDDING"].tolist() == [0.75, 0.25]
    assert short.numeric["EMBEDDING"].tolist() == [8, 8]
    (unit,) = embed(embedding, [(30, (1, 0)), (10, (0, 1))])
    assert np.linalg.norm(unit.numeric["EMBEDDING"]) == pytest.approx(1)


def test_a_zero_vector_stays_zero(embedding: Manifest, similarity: Manifest) -> None:
    (answer,) = embed(embedding, [(3, (0, 0))])
    assert answer.numeric["EMBEDDING"].tolist() == [0, 0]
    nothing, cancelled = compare(
        similarity, ([(3, (0, 0))], [(3, (1, 0))]), ([(3, (1, 0)), (3, (-1, 0))], [(3, (1, 0))])
    )
    assert nothing.numeric["SCORE"] == cancelled.numeric["SCORE"] == 0


@pytest.mark.parametrize(
    ("first", "second", "cosine"),
    [
        ((1, 0), (1, 0), 1),
        ((1, 0), (5, 0), 1),
        ((1, 0), (0, 2), 0),
        ((1, 0), (-3, 0), -1),
        ((1, 0), (1, 1), 0.707107),
        ((3, 4), (4, 3), 0.96),
    ],
)
def test_cosines(similarity: Manifest, first: Sequence[float], second: Sequence[float], cosine: float) -> None:
    for a, b in ((first, second), (second, first)):
        (answer,) = compare(similarity, ([(3, a)], [(7, b)]))
        assert answer.result["score"] == pytest.approx(cosine, abs=1e-6)
        assert answer.numeric["SCORE"] == pytest.approx(cosine, abs=1e-6)


def test_the_windows_of_a_pair_go_to_their_own_text(similarity: Manifest) -> None:
    """Three windows can be 1 + 2 or 2 + 1: only the document knows."""
    x, y = (4, (1, 0)), (4, (0, 1))
    answers = compare(similarity, ([x], [x, y]), ([x, x], [y]), ([x, y], [x]), ([x, y], [y, x]))
    assert [round(a.numeric["SCORE"], 4) for a in answers] == [0.7071, 0, 0.7071, 1]


def test_scores_never_leave_minus_one_to_one(similarity: Manifest) -> None:
    vectors = np.random.default_rng(0).normal(0, 1, (400, 2)).astype(np.float32)
    answers = compare(similarity, *(([(3, v)], [(3, -v if i % 2 else v)]) for i, v in enumerate(vectors)))
    for i, answer in enumerate(answers):
        assert -1 <= answer.numeric["SCORE"] <= 1
        assert answer.result["score"] == (-1 if i % 2 else 1)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_numbers_that_are_not_finite_give_no_answer(embedding: Manifest, similarity: Manifest, value: float) -> None:
    with pytest.raises(EngineError, match="not finite"):
        embed(embedding, [(3, (1, value))])
    with pytest.raises(EngineError, match="not finite"):
        compare(similarity, ([(3, (1, 0))], [(3, (value, 0))]))


def test_nothing_to_decode(embedding: Manifest, similarity: Manifest) -> None:
    assert embed(embedding) == compare(similarity) == []


@pytest.mark.parametrize("kind", ["embedding", "similarity"])
def test_tensors(make_manifest: MakeManifest, kind: str) -> None:
    manifest = make_manifest(kind, (), options={"dimension": 7})
    get_kind(kind).check(manifest)
    (encoder,), (numeric,) = get_kind(kind).encoder_outputs(manifest), get_kind(kind).numeric_outputs(manifest)
    assert (encoder.name, encoder.dims, encoder.per_token) == ("embedding", (7,), False)
    assert (numeric.name, numeric.dims) == (("EMBEDDING", (7,)) if kind == "embedding" else ("SCORE", (1,)))


def encoder(tensors: Tensors) -> Tensors:
    """A vector that depends on every id of its row and the id's position, and on nothing else in the batch."""
    ids = tensors["input_ids"]
    assert not tensors["token_type_ids"].any(), "each text is encoded by itself"
    sums = (ids * np.arange(1, ids.shape[1] + 1)).sum(1)
    return {"embedding": (sums[:, None] % np.arange(11, 11 + DIMENSION)).astype(np.float32) - 5}


def served(manifest: Manifest, tokenizer: ErnieTokenizer, request: dict[str, np.ndarray]) -> dict[str, Any]:
    """The three steps; the encoder in batches of its own, rows padded."""
    tokenized: Any = TokenizerStep(manifest, tokenizer, (8, 12, 16)).run([request])[0]
    encoded: Any = EncoderStep(encoder, (), Batching(token_budget=60, max_rows=5)).run([tokenized])[0]
    answers: Any = PostprocessStep(manifest).run([{**tokenized, **encoded}])[0]
    return {
        "RESULT": [json.loads(raw) for raw in answers["RESULT"][:, 0]],
        **{k: answers[k] for k in answers if k != "RESULT"},
    }


LONG = "北京大学的王小明教授昨天在上海出席了世界卫生组织的会议。" * 3
TEXTS = ["今天天气很好", "好", LONG, "打电话给18866668888", LONG[:20]]


def test_similarity_of_pairs_through_the_steps(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    manifest = make_manifest("similarity", (), doc_stride=5, max_chars=300, options={"dimension": DIMENSION})
    pipeline = Pipeline(manifest, tokenizer, encoder)
    pairs = [(a, b) for a in TEXTS for b in TEXTS] + [("", "好"), ("好", " \t"), ("好", "长" * 301)]
    request = {name: strings([p[i].encode() for p in pairs]) for i, name in enumerate(("TEXT", "TEXT_PAIR"))}
    answers, outputs = pipeline.predict(pairs), served(manifest, tokenizer, request)
    assert [a if isinstance(a, str) else a.result for a in answers[-3:]] == [
        "the text is empty",
        "the second text has only spaces or control characters",
        "the second text has 301 characters, this task takes at most 300",
    ]
    scores = {}
    for i, (pair, answer) in enumerate(zip(pairs, answers, strict=True)):
        if isinstance(answer, str):
            assert outputs["RESULT"][i]["error"]["message"] == f"item {i}: {answer}" and outputs["SCORE"][i, 0] == 0
            continue
        assert outputs["RESULT"][i] == answer.result
        assert outputs["SCORE"][i, 0] == np.float32(answer.numeric["SCORE"])
        scores[pair] = answer.result["score"]
        assert answer.result["windows"] >= 2 and answer.result["truncated"] is False
    assert all(scores[a, a] == 1 for a in TEXTS)
    assert all(scores[a, b] == pytest.approx(scores[b, a], abs=1e-6) for a, b in scores)
    assert len(set(scores.values())) > 5


def test_a_vector_does_not_depend_on_its_batch(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    manifest = make_manifest("embedding", (), doc_stride=5, options={"dimension": DIMENSION})
    pipeline = Pipeline(manifest, tokenizer, encoder)
    together: Any = pipeline.predict([(text,) for text in TEXTS])
    outputs = served(manifest, tokenizer, {"TEXT": strings([text.encode() for text in TEXTS])})
    assert outputs["EMBEDDING"].shape == (len(TEXTS), DIMENSION) and outputs["EMBEDDING"].dtype == np.float32
    for i, text in enumerate(TEXTS):
        (single,) = pipeline.predict([(text,)])
        assert not isinstance(single, str)
        assert single.numeric["EMBEDDING"].tolist() == together[i].numeric["EMBEDDING"].tolist()
        assert single.numeric["EMBEDDING"].tolist() == outputs["EMBEDDING"][i].tolist()
        assert outputs["RESULT"][i] == single.result
        assert single.result["dimension"] == DIMENSION


def test_truncated_is_set_if_either_text_is_cut(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    manifest = make_manifest("similarity", (), overflow="truncate", options={"dimension": DIMENSION})
    answers: Any = Pipeline(manifest, tokenizer, encoder).predict([("好", LONG), (LONG, "好"), ("好", "好")])
    assert [a.result["truncated"] for a in answers] == [True, True, False]
    assert [a.result["windows"] for a in answers] == [2, 2, 2]


def test_a_pair_of_too_many_windows_is_refused(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    manifest = make_manifest("similarity", (), max_length=4, doc_stride=1, options={"dimension": DIMENSION})
    half = "好" * (MAX_WINDOWS // 2 + 1)  # as many windows as characters, less one
    pipeline = Pipeline(manifest, tokenizer, encoder)
    answer, reason = pipeline.predict([(half, half), (half, half + "好")])
    assert not isinstance(answer, str) and answer.result["windows"] == MAX_WINDOWS
    assert reason == f"the text needs {MAX_WINDOWS + 1:,} windows, a request can have {MAX_WINDOWS:,}"
    request = {name: strings([(half + "好").encode()]) for name in ("TEXT", "TEXT_PAIR")}
    assert isinstance(TokenizerStep(manifest, tokenizer).run([request])[0], InvalidItem)
