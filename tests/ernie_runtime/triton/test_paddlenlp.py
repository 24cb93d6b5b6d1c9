"""PaddleNLP's form of answers: shapes its clients count on, and a list that two parsers read alike."""

from __future__ import annotations

import ast
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ernie_runtime.errors import ManifestError
from ernie_runtime.steps.step import dumps, strings
from ernie_runtime.triton.paddlenlp import EntityStep, LabelStep, entity_literal, load_step


def result_of(text: str, *spans: tuple[int, int, str]) -> dict[str, Any]:
    """A RESULT as the token classification kind gives it."""
    entities = [{"label": k, "text": text[a:b], "start": a, "end": b, "score": 0.5} for a, b, k in spans]
    return {"entities": entities, "tokens": len(text), "windows": 1, "truncated": False}


def read_as_the_client(raw: bytes, text: str) -> list[tuple[str, str]]:
    """(characters, label) of each entity: literal_eval, then a slice up to and with the last position."""
    return [(text[e["pos"][0] : e["pos"][1] + 1], e["label"]) for e in ast.literal_eval(raw.decode("utf-8"))]


@pytest.mark.parametrize(
    ("text", "spans", "expected"),
    [
        (
            "北京的涮肉，重庆的火锅",
            [(0, 2, "LOC"), (6, 8, "LOC")],
            '[{"pos": [0, 1], "entity": "北京", "label": "LOC"}, {"pos": [6, 7], "entity": "重庆", "label": "LOC"}]',
        ),
        (
            "王明李",
            [(0, 2, "PER"), (2, 3, "PER")],
            '[{"pos": [0, 1], "entity": "王明", "label": "PER"}, {"pos": [2, 2], "entity": "李", "label": "PER"}]',
        ),
        ("今天", [], "[]"),
    ],
    ids=["apart", "touching, one character", "none"],
)
def test_positions_are_inclusive(text: str, spans: list[tuple[int, int, str]], expected: str) -> None:
    raw = entity_literal(result_of(text, *spans))
    assert raw.decode() == expected
    assert read_as_the_client(raw, text) == [(text[start:end], label) for start, end, label in spans]


def test_no_answer_is_an_empty_list() -> None:
    assert entity_literal({"error": {"code": "INVALID_ARG", "message": "item 0: the text is empty"}}) == b"[]"


def test_a_result_of_another_kind_is_no_empty_list() -> None:
    with pytest.raises(KeyError):
        entity_literal({"label": "news", "score": 0.5})


HARD = [
    "\"双引号\"和'单引号'",
    "反\\斜\\n杠\\u4e2d",
    "😀表情👨‍👩‍👧与𠮷野家",
    "换\n行\r\t制\x00表\x1f符\x7f",
    "分\u2028段\u2029\x85",
    "true null False None {'a': 1}",
    "\ufeff签\u00ad名",
]


@pytest.mark.parametrize("text", HARD)
def test_hard_texts(text: str) -> None:
    raw = entity_literal(result_of(text, (0, len(text), "X"), (1, 2, "Y")))
    (first, second) = json.loads(raw)
    assert first == {"pos": [0, len(text) - 1], "entity": text, "label": "X"}
    assert ast.literal_eval(raw.decode()) == [first, second]
    assert read_as_the_client(raw, text) == [(text, "X"), (text[1], "Y")]


@given(st.text(min_size=1), st.text(min_size=1, max_size=6))  # no lone surrogates: a text is UTF-8
def test_both_parsers_read_the_same(text: str, label: str) -> None:
    raw = entity_literal(result_of(text, (0, len(text), label)))
    expected = [{"pos": [0, len(text) - 1], "entity": text, "label": label}]
    assert json.loads(raw) == ast.literal_eval(raw.decode()) == expected


def test_labels_lose_their_second_dimension() -> None:
    first = {"LABEL_ID": np.array([[3], [-1]], np.int64), "SCORE": np.array([[0.25], [0]], np.float32)}
    second = {"LABEL_ID": np.array([[7]], np.int64), "SCORE": np.array([[1]], np.float32)}
    outcomes = LabelStep().run([first, second])
    assert [set(first_reply) for first_reply in outcomes if isinstance(first_reply, dict)] == [
        {"label", "confidence"}
    ] * 2
    first_reply, second_reply = (r for r in outcomes if isinstance(r, dict))
    assert (first_reply["label"].dtype, first_reply["confidence"].dtype) == (np.int64, np.float32)
    assert first_reply["label"].tolist() == [3, -1] and first_reply["confidence"].tolist() == [0.25, 0]
    assert second_reply["label"].shape == second_reply["confidence"].shape == (1,)
    assert np.sum(np.array([3, 5]) == first_reply["label"]) == 1  # what the client does with it


def test_entities_are_one_list_a_text() -> None:
    rows = [dumps(result_of("王明", (0, 2, "PER"))), dumps({"error": {}}), dumps(result_of("好"))]
    (only,) = EntityStep().run([{"RESULT": strings(rows)}])
    assert isinstance(only, dict)
    assert only["OUTPUT"].shape == (3,) and only["OUTPUT"].dtype == object
    assert [ast.literal_eval(raw.decode()) for raw in only["OUTPUT"]] == [
        [{"pos": [0, 1], "entity": "王明", "label": "PER"}],
        [],
        [],
    ]


def test_a_form_that_is_not_known() -> None:
    assert isinstance(load_step({"form": "ernie_seqcls"}), LabelStep)
    assert isinstance(load_step({"form": "ernie_tokencls"}), EntityStep)
    with pytest.raises(ManifestError, match="parameter form is '', none of ernie_seqcls, ernie_tokencls"):
        load_step({})
