"""RESULT objects as dataclasses, and the exceptions' messages."""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
import pytest

import ernie_triton
from ernie_runtime.kinds import kind_names
from ernie_triton import (
    AnswersResult,
    Candidate,
    ClassificationResult,
    EmbeddingResult,
    EntitiesResult,
    Entity,
    HierarchyLabel,
    HierarchyResult,
    IntentResult,
    InvalidText,
    Label,
    MasksResult,
    RankingResult,
    RawResult,
    ServerError,
    SimilarityResult,
    Slot,
    Span,
    TextError,
    TokenEmbeddingsResult,
    UnknownTask,
)
from ernie_triton.results import CLASSES, numeric_outputs, parse_result
from ernie_triton.text_result import TextResult

SIZE: dict[str, Any] = {"tokens": 11, "windows": 1, "truncated": False}
CLASS = {
    "label": "a",
    "score": 0.9,
    "top": [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}],
    **SIZE,
}


NAMED = {"text": "明", "start": 1, "end": 2, "score": 0.5}
KINDS: dict[str, tuple[dict[str, Any], TextResult]] = {
    "sequence_classification": (
        CLASS,
        ClassificationResult("a", 0.9, (Label("a", 0.9), Label("b", 0.1)), **SIZE),
    ),
    "pair_classification": (CLASS, ClassificationResult("a", 0.9, (Label("a", 0.9), Label("b", 0.1)), **SIZE)),
    "token_classification": (
        {"entities": [{"label": "PER", **NAMED}]},
        EntitiesResult((Entity("PER", "明", 1, 2, 0.5),), **SIZE),
    ),
    "question_answering": (
        {"answers": [NAMED], "no_answer_score": 0.25},
        AnswersResult((Span("明", 1, 2, 0.5),), 0.25, **SIZE),
    ),
    "intent_slots": (
        {"intent": "call", "score": 0.75, "slots": [{"slot": "name", "value": "小明", **NAMED}]},
        IntentResult("call", 0.75, (Slot("name", "明", "小明", 1, 2, 0.5),), **SIZE),
    ),
    "hierarchical_classification": (
        {"labels": [{"label": "a##b", "level": 2, "score": 0.5}], "paths": [["a", "b"]]},
        HierarchyResult((HierarchyLabel("a##b", 2, 0.5),), (("a", "b"),), **SIZE),
    ),
    "similarity": ({"score": -0.5}, SimilarityResult(-0.5, **SIZE)),
    "embedding": ({}, EmbeddingResult(np.zeros(2), **SIZE)),
    "pair_embedding": ({}, EmbeddingResult(np.zeros(2), **SIZE)),
    "token_embedding": (
        {"offsets": [[0, 1], [1, 3]], "dimension": 2},
        TokenEmbeddingsResult(((0, 1), (1, 3)), np.zeros((2, 2)), **SIZE),
    ),
    "fill_mask": (
        {"masks": [[{"token": "京", "score": 0.5}], []], "positions": [[1, 7], [7, 13]]},
        MasksResult(((Label("京", 0.5),), ()), ((1, 7), (7, 13)), **SIZE),
    ),
    "ranking": (
        {"ranking": [{"index": 1, "text": "b", "score": 0.5}]},
        RankingResult((Candidate(1, "b", 0.5),), **SIZE),
    ),
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_answer_of_a_kind(kind: str) -> None:
    raw, expected = KINDS[kind]
    raw = {**raw, **SIZE, "a field of the future": 1}
    numeric = {name: np.array([0.5, 1.0], np.float32) for name in numeric_outputs(kind)}
    result = parse_result(kind, raw, numeric)
    assert result == expected and type(result) is type(expected)
    assert result.raw is raw and "raw" not in repr(result)
    assert repr(result).endswith("tokens=11, windows=1, truncated=False)")
    assert pickle.loads(pickle.dumps(result)) == result
    assert len({result, parse_result(kind, dict(raw), numeric)}) == 1
    for lost in SIZE:
        with pytest.raises(ServerError, match=lost):
            parse_result(kind, {key: value for key, value in raw.items() if key != lost}, numeric)


def test_classes_are_those_of_kinds_there_are() -> None:
    assert set(KINDS) == set(CLASSES) <= set(kind_names())


def test_an_embedding_is_a_numeric_output() -> None:
    vector = np.array([0.5, 1.0], np.float32)
    result = parse_result("embedding", SIZE, {"EMBEDDING": vector})
    assert isinstance(result, EmbeddingResult) and result.vector is vector
    with pytest.raises(ServerError, match="EMBEDDING"):
        parse_result("embedding", SIZE)


def test_a_kind_of_the_future_gives_the_raw_answer() -> None:
    assert parse_result("poetry", {"verse": 1}) == RawResult({"verse": 1})


@pytest.mark.parametrize("raw", [{}, {**CLASS, "top": None}, {"label": "a"}])
def test_an_answer_without_its_fields_is_the_servers_fault(raw: dict[str, object]) -> None:
    with pytest.raises(ServerError, match="sequence_classification"):
        parse_result("sequence_classification", raw)


def test_text_error_as_a_result_object() -> None:
    assert TextError(3, "the text is empty").raw == {"error": {"code": "INVALID_ARG", "message": "the text is empty"}}


def test_invalid_text_names_the_first_items_and_counts_the_others() -> None:
    assert str(InvalidText([(2, "the text is empty")])) == "item 2: the text is empty"
    error = InvalidText([(i, "empty") for i in range(8)])
    assert str(error).endswith("item 4: empty; and 3 more")
    assert len(error.items) == 8


def test_unknown_task_lists_and_suggests() -> None:
    error = UnknownTask("the server has no task", "tnew", ["msra_ner", "tnews"])
    assert str(error) == "the server has no task 'tnew'; it has msra_ner, tnews; did you mean tnews?"
    titled = UnknownTask("the server has no task", "工单分", ["task_1 (工单)", "task_2 (工单分类)"])
    assert str(titled).endswith("; did you mean 工单分类 or 工单?")
    assert str(UnknownTask("the server has no task", "zzz", ["tnews"])).endswith("it has tnews")
    assert str(UnknownTask("the server has no task", "zzz", [])).endswith("it has none")


def test_errors_travel_between_processes() -> None:
    for error in (InvalidText([(1, "empty")]), UnknownTask("no task", "a", ["b"]), ServerError("why")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_public_names_are_sorted_and_there() -> None:
    assert list(ernie_triton.__all__) == sorted(ernie_triton.__all__)
    assert all(hasattr(ernie_triton, name) for name in ernie_triton.__all__)
