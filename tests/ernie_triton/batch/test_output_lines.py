"""Lines of answers and of bad lines."""

from __future__ import annotations

import base64
import json
from typing import Any

import numpy as np
import pytest

from ernie_triton.batch.lines import Line, Position
from ernie_triton.batch.output_lines import answer_line, bad_line, plain
from ernie_triton.batch.records import Record
from ernie_triton.replies import Reply


def record(raw: bytes = b"x", **carried: Any) -> Record:
    return Record(line=Line(raw, Position(7, 100)), item="x", fault=None, carried=carried)


def test_what_is_carried_stands_between_the_line_and_the_result() -> None:
    line = answer_line(record(id="a", tags=["好"]), Reply({"label": "体育"}))
    assert line.decode() == '{"line": 7, "id": "a", "tags": ["好"], "result": {"label": "体育"}}\n'


def test_a_file_of_answers_may_be_the_next_input() -> None:
    carried = {"line": 1, "result": {}, "SCORE": 0.5, "input_line": 0}
    line = json.loads(answer_line(record(**carried), Reply({"a": 1}, {"SCORE": np.array([1.0], np.float32)})))
    assert line == {
        **{"line": 7, "input_input_line": 1, "input_result": {}, "input_SCORE": 0.5, "input_line": 0},
        **{"result": {"a": 1}, "SCORE": 1.0},
    }


def test_numbers_keep_all_of_a_float32_and_no_more() -> None:
    values = np.random.default_rng(0).normal(size=1000).astype(np.float32)
    text = json.dumps(plain(values))
    assert np.array_equal(np.array(json.loads(text), np.float32), values)
    assert len(text) < 15 * 1000
    assert plain(np.array([3], np.int64)) == 3 and plain(np.zeros((2, 1))) == [[0.0], [0.0]]
    assert plain(np.array([np.nan, np.inf, 1.0])) == [None, None, 1.0]


@pytest.mark.parametrize("raw", [b"\xff\xfe", "好\\".encode(), b"", b'{"a"'])
def test_a_bad_line_can_be_got_back_byte_for_byte(raw: bytes) -> None:
    row = json.loads(bad_line(record(raw), "why\n"))
    assert (row["line"], row["reason"]) == (7, "why\n")
    assert (base64.b64decode(row["raw_base64"]) if "raw_base64" in row else row["raw"].encode()) == raw


def test_a_lone_surrogate_in_what_is_carried_is_escaped() -> None:
    line = answer_line(record(id="\ud83d"), Reply({"label": "好"}))
    assert b"\\ud83d" in line and json.loads(line)["result"] == {"label": "好"}
