"""Candidates in order: by hand, through the steps, and every request that cannot be ranked."""

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
from ernie_runtime.text.windows import Document

MakeManifest = Callable[..., Manifest]


@pytest.fixture
def manifest(make_manifest: MakeManifest) -> Manifest:
    return make_manifest("ranking", ("0", "1"), overflow="truncate", max_chars=300)


def rank(manifest: Manifest, *logits: Sequence[float] | np.ndarray) -> list[dict[str, Any]]:
    texts = [f"text {i}" for i in range(len(logits))]
    document = Document(
        text="", tokens=9, windows=len(logits), truncated=False, error=None, extra={"candidates": texts}
    )
    windows = [WindowOutput(np.zeros((4, 2), np.int32), {"logits": np.array(row, np.float32)}) for row in logits]
    (answer,) = get_kind("ranking").decode([document], [windows], manifest)
    assert answer.numeric == {}
    ranking: list[dict[str, Any]] = answer.result["ranking"]
    assert all(candidate["text"] == texts[candidate["index"]] for candidate in ranking)
    return ranking


def order(ranking: Sequence[dict[str, Any]]) -> list[int]:
    return [row["index"] for row in ranking]


def test_best_first(manifest: Manifest) -> None:
    ranking = rank(manifest, np.log([0.8, 0.2]), np.log([0.1, 0.9]), np.log([0.5, 0.5]))
    assert order(ranking) == [1, 2, 0]
    assert [row["score"] for row in ranking] == pytest.approx([0.9, 0.5, 0.2], abs=1e-6)


def test_ties_keep_the_order_sent(manifest: Manifest) -> None:
    assert order(rank(manifest, (0, 1), (5, 6), (0, 2), (-3, -2), (0, 2))) == [2, 4, 0, 1, 3]
    assert order(rank(manifest, *[(1, 1)] * 50)) == list(range(50))


def test_near_one_the_logits_still_tell(manifest: Manifest) -> None:
    ranking = rank(manifest, (0, 40), (0, 60), (0, 50), (80, 0), (70, 0))
    assert order(ranking) == [1, 2, 0, 4, 3]
    assert [row["score"] for row in ranking] == [1, 1, 1, 0, 0]


def test_one_candidate_and_many(manifest: Manifest) -> None:
    assert order(rank(manifest, (3, 0))) == [0]
    logits = np.random.default_rng(0).normal(0, 3, (256, 2))
    ranking = rank(manifest, *logits)
    scores = [row["score"] for row in ranking]
    assert sorted(order(ranking)) == list(range(256)) and scores == sorted(scores, reverse=True)
    assert get_kind("ranking").decode([], [], manifest) == []


def test_numbers_that_are_not_finite_give_no_answer(manifest: Manifest) -> None:
    with pytest.raises(EngineError, match="not finite"):
        rank(manifest, (0, 1), (0, np.nan))


def classifier(tensors: Tensors) -> Tensors:
    """Logits that depend on every id of their row, its position and its type, and on nothing else in the batch."""
    ids, types = tensors["input_ids"], tensors["token_type_ids"]
    sums = (ids * np.arange(1, ids.shape[1] + 1) * (1 + types)).sum(1)
    return {"logits": (sums[:, None] % np.array([11, 13])).astype(np.float32) / 3}


def served(manifest: Manifest, tokenizer: ErnieTokenizer, items: Sequence[tuple[bytes, bytes]]) -> Any:
    """The RESULT of each item through the three steps, or the InvalidItem of a request without a good one."""
    request = {name: strings([item[i] for item in items]) for i, name in enumerate(("QUERY", "CANDIDATES"))}
    tokenized: Any = TokenizerStep(manifest, tokenizer, (8, 12, 16)).run([request])[0]
    if isinstance(tokenized, InvalidItem):
        return tokenized
    encoded: Any = EncoderStep(classifier, (), Batching(token_budget=60, max_rows=5)).run([tokenized])[0]
    answers: Any = PostprocessStep(manifest).run([{**tokenized, **encoded}])[0]
    assert list(answers) == ["RESULT"]
    return [json.loads(raw) for raw in answers["RESULT"][:, 0]]


def item(query: str, *candidates: str) -> tuple[bytes, bytes]:
    return query.encode(), json.dumps(candidates, ensure_ascii=False).encode()


LONG = "北京大学的王小明教授昨天在上海出席了世界卫生组织的会议。" * 3
VALID_ITEMS = [
    item("今天天气", "今天下雨", "明天天气", "好", "今天下雨"),
    item(LONG, LONG, "好", '👩\u200d💻 "引号" \\ cafe\u0301'),
    item("好", "好"),
]
NOT_JSON = "the candidates are not JSON ({}); send a list of strings"
REASONS = {
    b"": NOT_JSON.format("Expecting value: line 1 column 1 (char 0)"),
    "今天下雨".encode(): NOT_JSON.format("Expecting value: line 1 column 1 (char 0)"),
    b'["a", "b"': NOT_JSON.format("Expecting ',' delimiter: line 1 column 10 (char 9)"),
    b'{"a": 1}': "the candidates are JSON but no list; send a list of strings",
    b'"a"': "the candidates are JSON but no list; send a list of strings",
    b"[]": "the list of candidates is empty",
    b'["a", 3]': "candidate 1 is no string; send a list of strings",
    b'["a", null]': "candidate 1 is no string; send a list of strings",
    b'["a", ["b"]]': "candidate 1 is no string; send a list of strings",
    b'["a", ""]': "candidate 1 is empty",
    b'[" \\t", "a"]': "candidate 0 has only spaces or control characters",
    b'["\\ud83d"]': "candidate 0 is not UTF-8: a lone surrogate",
    b'["a\xff"]': "the list of candidates is not UTF-8: invalid start byte at byte 3",
    item("", *["a"] * 257)[1]: "257 candidates, this task takes at most 256",
    item("", "a", "长" * 301)[1]: "candidate 1 has 301 characters, this task takes at most 300",
}


@pytest.mark.parametrize("raw", REASONS, ids=lambda raw: raw[:12].decode(errors="replace"))
def test_candidates_that_cannot_be_ranked(manifest: Manifest, tokenizer: ErnieTokenizer, raw: bytes) -> None:
    """Alone they fail the request; beside a good item only themselves."""
    refused = served(manifest, tokenizer, [("问".encode(), raw)])
    assert isinstance(refused, InvalidItem) and str(refused) == f"item 0: {REASONS[raw]}"
    answer, error = served(manifest, tokenizer, [VALID_ITEMS[0], ("问".encode(), raw)])
    assert len(answer["ranking"]) == 4
    assert error == {"error": {"code": "INVALID_ARG", "message": f"item 1: {REASONS[raw]}"}}


def test_nesting_without_end(manifest: Manifest, tokenizer: ErnieTokenizer) -> None:
    refused = served(manifest, tokenizer, [(b"a", b"[" * 200_000)])
    assert isinstance(refused, InvalidItem) and "the candidates are not JSON" in str(refused)


@pytest.mark.parametrize(
    ("query", "says"),
    [
        (b"", "the query is empty"),
        (b" ", "the query has only spaces or control characters"),
        (b"\xff", "the query is not UTF-8: invalid start byte at byte 0"),
        ("长".encode() * 301, "the query has 301 characters, this task takes at most 300"),
    ],
)
def test_queries_that_cannot_be_ranked(manifest: Manifest, tokenizer: ErnieTokenizer, query: bytes, says: str) -> None:
    refused = served(manifest, tokenizer, [(query, b'["a"]')])
    assert isinstance(refused, InvalidItem) and str(refused) == f"item 0: {says}"


def test_a_task_s_own_limit(make_manifest: MakeManifest, tokenizer: ErnieTokenizer) -> None:
    manifest = make_manifest("ranking", ("0", "1"), overflow="truncate", options={"max_candidates": 2})
    pipeline = Pipeline(manifest, tokenizer, classifier)
    answer, reason = pipeline.predict([item("好", "好", "坏"), item("好", "好", "坏", "大")])
    assert not isinstance(answer, str)
    assert reason == "3 candidates, this task takes at most 2"


def test_pipeline_and_steps_agree(manifest: Manifest, tokenizer: ErnieTokenizer) -> None:
    pipeline = Pipeline(manifest, tokenizer, classifier)
    items = VALID_ITEMS * 3
    answers: Any = pipeline.predict(items)
    assert served(manifest, tokenizer, items) == [answer.result for answer in answers]
    for (query, raw), answer in zip(items, answers, strict=True):
        candidates = json.loads(raw)
        result = answer.result
        assert {(row["index"], row["text"]) for row in result["ranking"]} == set(enumerate(candidates))
        assert result["windows"] == len(candidates)
        assert result["truncated"] is (query.decode() == LONG)
        # Each candidate scores as it does alone.
        single_answers = [pipeline.predict([item(query.decode(), text)])[0] for text in candidates]
        scores = [a.result["ranking"][0]["score"] for a in single_answers if not isinstance(a, str)]
        assert [row["score"] for row in sorted(result["ranking"], key=lambda row: row["index"])] == scores
    first = answers[0].result["ranking"]
    places = [place for place, row in enumerate(first) if row["text"] == "今天下雨"]
    assert places[1] == places[0] + 1 and first[places[0]]["index"] < first[places[1]]["index"]
