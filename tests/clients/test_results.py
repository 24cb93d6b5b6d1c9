"""RESULT objects as dataclasses, and the exceptions' messages."""

from __future__ import annotations

import pickle

import pytest

import ernie_triton
from ernie_triton import (
    ClassificationResult,
    EntitiesResult,
    Entity,
    InvalidText,
    Label,
    RawResult,
    ServerError,
    TextError,
    UnknownTask,
)
from ernie_triton.results import parse_result

READING = {"tokens": 11, "windows": 1, "truncated": False}
CLASS = {
    "label": "a",
    "score": 0.9,
    "top": [{"label": "a", "score": 0.9}, {"label": "b", "score": 0.1}],
    **READING,
}
PERSON = {"label": "PER", "text": "王小明", "start": 0, "end": 3, "score": 0.99}


def test_classification() -> None:
    result = parse_result("sequence_classification", CLASS)
    assert result == ClassificationResult("a", 0.9, (Label("a", 0.9), Label("b", 0.1)), 11, 1, False)
    assert result.raw is CLASS
    assert "raw" not in repr(result)
    assert len({result, parse_result("sequence_classification", dict(CLASS))}) == 1


def test_entities() -> None:
    raw = {"entities": [PERSON], **READING}
    result = parse_result("token_classification", raw)
    assert result == EntitiesResult((Entity("PER", "王小明", 0, 3, 0.99),), 11, 1, False)
    assert result.raw is raw


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
    assert str(error) == "the server has no task 'tnew'; it has msra_ner, tnews; did you mean 'tnews'?"
    assert str(UnknownTask("the server has no task", "zzz", ["tnews"])).endswith("it has tnews")
    assert str(UnknownTask("the server has no task", "zzz", [])).endswith("it has none")


def test_errors_travel_between_processes() -> None:
    for error in (InvalidText([(1, "empty")]), UnknownTask("no task", "a", ["b"]), ServerError("why")):
        copy = pickle.loads(pickle.dumps(error))
        assert (type(copy), str(copy), vars(copy)) == (type(error), str(error), vars(error))


def test_public_names_are_sorted_and_there() -> None:
    assert list(ernie_triton.__all__) == sorted(ernie_triton.__all__)
    assert all(hasattr(ernie_triton, name) for name in ernie_triton.__all__)
