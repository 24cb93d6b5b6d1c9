"""Texts given as arguments or line by line."""

from __future__ import annotations

import io
from dataclasses import replace

from ernie_triton.batch.records import as_parts, read_lines, typed_items

from ..echo import TASK


def test_lines_of_standard_input() -> None:
    stream = io.BytesIO("\ufeff一\r\n\n二 \u2028\ufeff\n".encode() + b"\xff\nlast")
    assert list(read_lines(stream, 2)) == [["一", ""], ["二 \u2028\ufeff", "\udcff"], ["last"]]
    assert list(read_lines(io.BytesIO(b""), 2)) == []


def test_parts_of_an_item_are_cut_at_tabs() -> None:
    pair = replace(TASK, inputs=("TEXT", "TEXT_PAIR"))
    assert as_parts(["a\tb", "c"], pair) == [("a", "b"), ("c",)]
    assert as_parts(["a\tb"], TASK) == ["a\tb"]
    assert as_parts(["q\ta\tb"], replace(TASK, inputs=("QUERY", "CANDIDATES"))) == [("q", '["a", "b"]')]


def test_arguments_may_be_the_parts_of_one_item() -> None:
    pair = replace(TASK, inputs=("TEXT", "TEXT_PAIR"))
    assert typed_items(["a", "b"], pair) == [("a", "b")]
    assert typed_items(["a\tb", "c\td"], pair) == [("a", "b"), ("c", "d")]
    assert typed_items(["a", "b", "c"], pair) == [("a",), ("b",), ("c",)]
    assert typed_items(["a", "b"], TASK) == ["a", "b"]
    assert typed_items(["q", "a", "b"], replace(TASK, inputs=("QUERY", "CANDIDATES"))) == [("q", '["a", "b"]')]
