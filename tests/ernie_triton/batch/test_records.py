"""Input formats: the item of each line, the fields carried into the output, and the reason a line is bad."""

from __future__ import annotations

import io
import json
from typing import Any

import pytest

from ernie_triton.batch.lines import Lines
from ernie_triton.batch.records import Record, parser, records, split_cells
from ernie_triton.errors import FileError

SINGLE_TEXT, PAIR, RANK = ("TEXT",), ("TEXT", "TEXT_PAIR"), ("QUERY", "CANDIDATES")


def parse(form: str, inputs: tuple[str, ...], raw: bytes | str, after: int = 0, **fields: str) -> list[Record]:
    stream = io.BytesIO(raw if isinstance(raw, bytes) else raw.encode())
    return list(records(Lines(stream, "in"), parser(form, inputs, fields, "in"), after))


def parse_one(form: str, inputs: tuple[str, ...], raw: bytes | str, **fields: str) -> Record:
    (record,) = parse(form, inputs, raw, **fields)
    return record


@pytest.mark.parametrize(
    ("inputs", "value", "item", "carried"),
    [
        (SINGLE_TEXT, {"text": "好"}, "好", {}),
        (SINGLE_TEXT, {"id": 7, "TEXT": "好", "tags": ["a"]}, "好", {"id": 7, "tags": ["a"]}),
        (SINGLE_TEXT, {"text": "small first", "TEXT": "other"}, "small first", {"TEXT": "other"}),
        (SINGLE_TEXT, "好", "好", {}),
        (SINGLE_TEXT, ["好"], "好", {}),
        (PAIR, {"text_pair": "b", "text": "a"}, ("a", "b"), {}),
        (PAIR, ["a", "b"], ("a", "b"), {}),
        (("QUESTION", "CONTEXT"), {"Question": "q", "context": "c", "id": "x"}, ("q", "c"), {"id": "x"}),
        (RANK, {"query": "q", "candidates": ["好", "b"]}, ("q", '["好", "b"]'), {}),
        (RANK, {"query": "q", "candidates": '["a"]'}, ("q", '["a"]'), {}),
        (RANK, ["q", ["a", "b"]], ("q", '["a", "b"]'), {}),
    ],
)
def test_json_lines(inputs: tuple[str, ...], value: Any, item: object, carried: dict[str, Any]) -> None:
    record = parse_one("jsonl", inputs, json.dumps(value))
    assert (record.item, record.fault, record.carried) == (item, None, carried)


@pytest.mark.parametrize(
    ("inputs", "raw", "why"),
    [
        (SINGLE_TEXT, "{", "not JSON: Expecting property name enclosed in double quotes (column 2)"),
        (SINGLE_TEXT, '{"text": "a", "text": "b"}', 'several values under the key "text"'),
        (SINGLE_TEXT, '{"text": "a", "meta": {"id": 1, "n": 0, "id": 2}}', 'several values under the key "id"'),
        (SINGLE_TEXT, '{"text": "a", "n": NaN}', "not JSON: NaN is no number"),
        (SINGLE_TEXT, '{"text": "a", "n": 1e999}', "not JSON: 1e999 is no number"),
        (SINGLE_TEXT, "[" * 100_000, "nested too deep"),
        (SINGLE_TEXT, "3", "expected a JSON object, a string or a list of strings, got a number"),
        (SINGLE_TEXT, '{"note": "a", "id": 1}', 'no "text" among its keys (note, id)'),
        (SINGLE_TEXT, '{"Text": "a", "TEXt": "b"}', 'several keys are "text"'),
        (SINGLE_TEXT, '{"text": 3}', '"text" must be a string, not a number'),
        (SINGLE_TEXT, '{"text": null}', '"text" must be a string, not null'),
        (SINGLE_TEXT, '{"text": ["a"]}', '"text" must be a string, not a list'),
        (PAIR, '"a"', "a list of 1, and the task takes 2 inputs (TEXT, TEXT_PAIR)"),
        (PAIR, '["a", true]', "TEXT_PAIR must be a string, not true or false"),
        (RANK, '{"query": "q", "candidates": ["a", 1]}', '"candidates" must be a string or a list of strings'),
        (SINGLE_TEXT, b'{"text": "\xff"}', "not UTF-8: invalid start byte at byte 10 of the line"),
    ],
)
def test_bad_json_lines(inputs: tuple[str, ...], raw: bytes | str, why: str) -> None:
    record = parse_one("jsonl", inputs, raw)
    assert record.item is None and record.fault is not None and why in record.fault


def test_a_bad_line_is_not_the_end() -> None:
    parsed = parse("jsonl", SINGLE_TEXT, b'"a"\n\xff\n{\n\n"b"\r\n')
    assert [(record.line.number, record.item) for record in parsed] == [(1, "a"), (2, None), (3, None), (5, "b")]


def test_fields_name_the_keys() -> None:
    record = parse_one("jsonl", PAIR, '{"s1": "a", "s2": "b", "text": "c"}', TEXT="s1", TEXT_PAIR="s2")
    assert (record.item, record.carried) == (("a", "b"), {"text": "c"})
    assert 'no "S1" among' in str(parse_one("jsonl", SINGLE_TEXT, '{"s1": "a"}', TEXT="S1").fault)


def test_columns_with_a_header() -> None:
    parsed = parse("tsv", PAIR, "\ufeffid\tText_Pair\ttext\r\n1\tb\ta\r\n2\tc\r\n\t\t\r\n")
    assert [(r.line.number, r.item, r.carried) for r in (parsed[0], parsed[2])] == [
        (2, ("a", "b"), {"id": "1"}),
        (4, ("", ""), {"id": ""}),
    ]
    assert parsed[1].fault == "2 columns, and the header names 3"


def test_columns_without_a_header() -> None:
    parsed = parse("tsv", PAIR, b"\xff\t\na\tb\nc\n")
    assert [record.item for record in parsed] == [None, ("a", "b"), None]
    assert parsed[2].fault == "1 column, and the task takes 2 inputs (TEXT, TEXT_PAIR)"
    assert [record.item for record in parse("tsv", SINGLE_TEXT, "text\na\n")] == ["a"]


def test_a_first_line_that_is_neither_stops_the_run() -> None:
    with pytest.raises(FileError, match=r"in: the first line has 3 columns and is no header .*--field"):
        parse("tsv", PAIR, "id\ts1\ts2\n1\ta\tb\n")
    with pytest.raises(FileError, match='no "s3" among'):
        parse("tsv", PAIR, "s1\ts2\na\tb\n", TEXT="s1", TEXT_PAIR="s3")
    with pytest.raises(FileError, match="same name"):
        parse("tsv", SINGLE_TEXT, "text\tid\tid\na\t1\t2\n")
    assert parse("tsv", PAIR, "id\ts1\ts2\n1\ta\tb\n", TEXT="s1", TEXT_PAIR="s2")[0].item == ("a", "b")


def test_lines_of_text() -> None:
    assert [record.item for record in parse("txt", SINGLE_TEXT, "一\t二\r\n\n三")] == ["一\t二", "三"]
    with pytest.raises(FileError, match=r"takes 2 inputs \(TEXT, TEXT_PAIR\): use .csv, .tsv or .jsonl"):
        parse("txt", PAIR, "a\n")


def test_a_list_may_be_the_last_columns() -> None:
    assert split_cells(["q", "好", "b"], RANK) == ("q", '["好", "b"]')
    assert split_cells(["q", '["a", "b"]'], RANK) == ("q", '["a", "b"]')
    assert split_cells(["q", "a"], RANK) == ("q", '["a"]')
    assert split_cells(["a", "b", "c"], PAIR) == ("a", "b", "c")


@pytest.mark.parametrize("after", [0, 1, 2, 3, 9])
def test_parsing_resumes_after_a_line(after: int) -> None:
    raw = "id\ttext\n1\ta\n2\tb\n"
    parsed = [(record.line.number, record.item, record.carried) for record in parse("tsv", SINGLE_TEXT, raw, after)]
    assert parsed == [(2, "a", {"id": "1"}), (3, "b", {"id": "2"})][max(0, after - 1) :]
    no_utf8 = b"\xff\n\xff\na\n"
    assert [record.line.number for record in parse("tsv", SINGLE_TEXT, no_utf8, after)] == [
        n for n in (1, 2, 3) if n > after
    ]


@pytest.mark.parametrize(
    ("form", "raw"),
    [
        ("tsv", "编号\tContent\n7\t很好\n"),
        ("jsonl", '{"编号": "7", "sentence": "很好"}\n'),
    ],
)
def test_the_usual_names_of_a_text_are_guessed(form: str, raw: str) -> None:
    (record,) = parse(form, ("TEXT",), raw)
    assert (record.item, record.carried) == ("很好", {"编号": "7"})


def test_a_guess_between_two_is_refused() -> None:
    (record,) = parse("jsonl", ("TEXT",), '{"标题": "a", "内容": "b"}\n')
    assert record.fault == 'several keys may be "text" (标题, 内容): --field TEXT=KEY says which'
    with pytest.raises(FileError, match=r"--field INPUT=COLUMN"):
        parse("tsv", ("TEXT",), "标题\t内容\na\tb\n")
