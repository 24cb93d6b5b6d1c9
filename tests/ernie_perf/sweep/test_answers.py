"""What perf_analyzer exports of requests with several texts, taken apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ernie_perf.errors import TargetError
from ernie_perf.sweep.answers import EXPORT_ERRORS, AnswerChecker, split_outputs
from ernie_perf.sweep.expected import ExpectedAnswers

ITEMS = tuple((name,) for name in "甲乙丙丁")


def checker(texts: int, items: tuple[tuple[str, ...], ...] = ITEMS, length: int = 1) -> AnswerChecker:
    """The right RESULT of a text is the text, so many times, its LABEL_ID the place of its first in ITEMS."""
    results = {item: {"label": item[0] * length} for item in items}
    exact = {item: {"LABEL_ID": ITEMS.index(item)} for item in items}
    expected = ExpectedAnswers(inputs=("TEXT",), items=items, results=results, exact=exact)
    return AnswerChecker(expected, texts)


def joined(*results: Any) -> str:
    """As perf_analyzer writes BYTES: lengths in four bytes between them."""
    documents = [json.dumps(result, ensure_ascii=False).encode() for result in results]
    data = b"".join(len(d).to_bytes(4, "little") + d for d in documents)[4:]
    return data.decode("utf-8", EXPORT_ERRORS)


def request(text: str, names: str, length: int = 1, **changed: Any) -> dict[str, Any]:
    """A request that begins with a text, answered as if it held the texts `names`."""
    outputs = {"RESULT": joined(*({"label": name * length} for name in names))}
    outputs |= {"LABEL_ID": [ITEMS.index((name,)) for name in names], **changed}
    return {"request_inputs": {"TEXT": text}, "response_outputs": [outputs]}


def test_one_text() -> None:
    assert checker(1).check(request("乙", "乙", LABEL_ID=1)).wrong == []
    assert [item for item, _ in checker(1).check(request("乙", "乙", LABEL_ID=2)).wrong] == [("乙",)]


@pytest.mark.parametrize("length", [1, 37, 43, 80, 100, 1000, 10985])
def test_texts_that_follow(length: int) -> None:
    """Any length's four bytes, whether they are no UTF-8, two bytes of one character, or look like JSON; after the last
    text comes the first."""
    correct = checker(3, length=length).check(request("丙", "丙丁甲", length))
    assert (correct.checked, correct.wrong) == (3, [])
    swapped = checker(3, length=length).check(request("丙", "丙甲丁", length))
    assert (swapped.checked, [item for item, _ in swapped.wrong]) == (3, [("丁",), ("甲",)])


def test_vectors_are_dealt_out() -> None:
    assert split_outputs({"EMBEDDING": [1.0, 2.0, 3.0, 4.0]}, 2) == [
        {"EMBEDDING": [1.0, 2.0]},
        {"EMBEDDING": [3.0, 4.0]},
    ]


def test_a_text_that_is_there_twice() -> None:
    """What follows it may be either; something else is wrong."""
    twice = checker(2, (*ITEMS, ITEMS[0], ITEMS[2]))
    assert twice.check(request("甲", "甲乙")).wrong == twice.check(request("甲", "甲丙")).wrong == []
    assert len(twice.check(request("甲", "甲丁")).wrong) == 1


@pytest.mark.parametrize(
    "outputs",
    [
        {"RESULT": joined({"n": 1}), "LABEL_ID": [1, 2]},
        {"RESULT": joined({"n": 1}, {"n": 2}, {"n": 3})},
        {"RESULT": joined({"n": 1}, {"n": 2})[:-1]},
        {"RESULT": "no json"},
        {"LABEL_ID": [1, 2, 3]},
        {"LABEL_ID": 1},
        {"LABEL_ID": []},
    ],
)
def test_outputs_of_another_number_of_texts_are_none(outputs: dict[str, Any]) -> None:
    """Then every text's answer is wrong."""
    assert split_outputs(outputs, 2) == [{}, {}]


def test_no_outputs_and_unknown_texts() -> None:
    nothing = {"request_inputs": {"TEXT": "甲"}, "response_outputs": []}
    assert len(checker(2).check(nothing).wrong) == 2
    with pytest.raises(TargetError, match="never given"):
        checker(2).check(request("戊", "甲乙"))
