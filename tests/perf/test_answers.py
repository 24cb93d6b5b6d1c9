"""What perf_analyzer exports of requests with several texts, taken apart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from perf.answers import Answers, split
from perf.errors import TargetError
from perf.expected import Expected

ITEMS = tuple((name,) for name in "甲乙丙丁")


def answers(texts: int, items: tuple[tuple[str, ...], ...] = ITEMS) -> Answers:
    return Answers(Expected(("TEXT",), items, {}, {}), texts)


def joined(*results: Any) -> str:
    """As perf_analyzer writes BYTES: lengths in four bytes between them, read as UTF-8."""
    documents = [json.dumps(result, ensure_ascii=False).encode() for result in results]
    data = b"".join(len(d).to_bytes(4, "little") + d for d in documents)[4:]
    return data.decode("utf-8", errors="replace")


def request(text: str, **outputs: Any) -> dict[str, Any]:
    return {"request_inputs": {"TEXT": text}, "response_outputs": [outputs]}


def test_one_text() -> None:
    assert list(answers(1).of(request("乙", LABEL_ID=3))) == [(("乙",), {"LABEL_ID": 3})]


@pytest.mark.parametrize("length", [1, 60, 111, 140, 200, 250, 300, 1000])
def test_texts_that_follow(length: int) -> None:
    """Any length's four bytes, whether they are UTF-8 or look like JSON; after the last text comes the first."""
    results = [{"label": name * length} for name in ("a", "字", "c")]
    outputs = {"RESULT": joined(*results), "LABEL_ID": [1, 2, 3], "EMBEDDING": [0.1, 0.2, 0.3, 0.4, 0.5, 0.6]}
    found = list(answers(3).of(request("丙", **outputs)))
    assert [item for item, _ in found] == [("丙",), ("丁",), ("甲",)]
    assert [json.loads(one["RESULT"]) for _, one in found] == results
    assert [one["LABEL_ID"] for _, one in found] == [1, 2, 3]
    assert [one["EMBEDDING"] for _, one in found] == [[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]


def test_a_text_that_is_there_twice_says_not_what_follows() -> None:
    outputs = {"RESULT": joined({"n": 1}, {"n": 2}), "LABEL_ID": [1, 2]}
    found = list(answers(2, (*ITEMS, ITEMS[0])).of(request("甲", **outputs)))
    assert [(item, json.loads(one["RESULT"])) for item, one in found] == [(("甲",), {"n": 1})]


@pytest.mark.parametrize(
    "outputs",
    [
        {"RESULT": joined({"n": 1}), "LABEL_ID": [1, 2]},
        {"RESULT": joined({"n": 1}, {"n": 2}, {"n": 3})},
        {"RESULT": "no json"},
        {"LABEL_ID": [1, 2, 3]},
        {"LABEL_ID": 1},
        {"LABEL_ID": []},
    ],
)
def test_outputs_of_another_number_of_texts_are_none(outputs: dict[str, Any]) -> None:
    """Then every text's answer is wrong."""
    assert split(outputs, 2) == [{}, {}]


def test_no_outputs_and_unknown_texts() -> None:
    nothing = {"request_inputs": {"TEXT": "甲"}, "response_outputs": []}
    assert list(answers(2).of(nothing)) == [(("甲",), {}), (("乙",), {})]
    with pytest.raises(TargetError, match="never given"):
        list(answers(2).of(request("戊")))
