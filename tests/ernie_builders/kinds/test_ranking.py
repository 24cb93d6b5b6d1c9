"""Ranking when building: metrics and training rows worked out by hand."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.kinds import get_builder_kind
from ernie_builders.readers import Example
from ernie_builders.training.dataset import training_rows
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Limits, Manifest
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..tiny import manifest_with

KIND = get_builder_kind("ranking")


@pytest.fixture
def manifest() -> Manifest:
    return manifest_with(
        2, "ranking", limits=Limits(max_length=32, doc_stride=16, overflow="truncate"), main_metric="mrr"
    )


def example(target: Any, *candidates: str) -> Example:
    return Example(("q", json.dumps(candidates)), target, 1)


def answer(*order: int) -> Answer:
    """The first candidate has a score of 0.8, the second 0.5, ..."""
    ranking = [{"index": i, "text": f"t{i}", "score": round(0.8 - 0.3 * rank, 1)} for rank, i in enumerate(order)]
    return Answer({"ranking": ranking}, {})


def test_metrics_computed_by_hand(manifest: Manifest) -> None:
    examples = [example(target, *"abcd") for target in ([0], [1, 3], [2], [0])]
    answers: list[Answer | str] = [answer(0, 1, 2, 3), answer(2, 3, 1, 0), answer(3, 1, 0, 2), "the query is empty"]
    assert KIND.score(examples, answers, manifest) == {
        "mrr": round(100 * (1 + 1 / 2 + 1 / 4 + 0) / 4, 3),
        "accuracy_at_1": 25,
        "f1": 25,  # 3 accepted (the first ones), 5 relevant, 1 both
    }
    assert KIND.wrong(examples[0], answers[0], manifest) is None
    assert KIND.wrong(examples[1], answers[1], manifest) == {
        "query": "q",
        "expected": ["b", "d"],
        "predicted": "t2",
        "score": 0.8,
        "rank": 2,
    }
    assert KIND.wrong(examples[3], answers[3], manifest) == {
        "query": "q",
        "expected": ["a"],
        "error": "the query is empty",
    }


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (example([1], "a", "b"), None),
        (example([0, 1], "a", "b"), None),
        (example([2], "a", "b"), "2 is no index of one of 2 candidates"),
        (example([-1], "a", "b"), "-1 is no index"),
        (example([True], "a", "b"), "True is no index"),
        (example([], "a", "b"), "expected at least one candidate that fits"),
        (example("1", "a", "b"), "expected at least one candidate that fits"),
        (example([0]), "the list of candidates is empty"),
        (Example(("q", "a, b"), [0], 1), "the candidates are not JSON"),
    ],
)
def test_examples_that_cannot_be_ranked(manifest: Manifest, case: Example, message: str | None) -> None:
    fault = KIND.check(case, manifest)
    assert (fault is None) if message is None else (fault is not None and message in fault)


def test_rows(manifest: Manifest, vocabulary: Path, characters: list[str]) -> None:
    """One row per candidate, with the query before it."""
    tokenizer = ErnieTokenizer.from_vocab(vocabulary)
    query, *texts = ("".join(characters[i : i + 3]) for i in (0, 3, 6, 9))
    example = Example((query, json.dumps(texts)), [0, 2], 1)
    rows = training_rows(manifest, tokenizer, [example, Example(("", json.dumps(texts)), [0], 2)])
    assert [int(row.targets["label"]) for row in rows] == [1, 0, 1]
    ids = tokenizer([query, *texts])
    for row, text in zip(rows, ids[1:], strict=True):
        (window,) = row.windows
        assert window.input_ids[1:4].tolist() == ids[0].ids.tolist()
        assert window.input_ids[5:-1].tolist() == text.ids.tolist()
        assert window.token_type_ids.tolist() == [0] * 5 + [1] * 4
