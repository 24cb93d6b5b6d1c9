"""Files as people have them: CSV of spreadsheets, JSON arrays, packed, in other encodings, line breaks in cells."""

from __future__ import annotations

import csv
import gzip
import io
import json
import lzma
from pathlib import Path
from typing import Any

import pytest

from ernie_triton.batch.lines import Lines
from ernie_triton.batch.records import Record, parser, records
from ernie_triton.batch.rows import MAX_LINES, rows
from ernie_triton.batch.source import readable
from ernie_triton.errors import FileError

TEXTS = ["一行\n\n三行", '他说"好"，走了', "a;b,c", "三"]


def parse(form: str, raw: bytes, inputs: tuple[str, ...] = ("TEXT",), after: int = 0) -> list[Record]:
    source = readable(io.BytesIO(raw), "in", form)
    lines = Lines(source.stream, "in")
    parse_line = parser(form, inputs, {}, "in", source.dialect)
    return list(records(rows(lines, source.dialect) if source.dialect.quoted else lines, parse_line, after))


def table(delimiter: str, **options: Any) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, **options).writerows([("id", "text"), *enumerate(TEXTS)])
    return out.getvalue()


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "gb18030"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, lzma.compress])
@pytest.mark.parametrize(("form", "delimiter"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_tables(form: str, delimiter: str, pack: Any, encoding: str) -> None:
    parsed = parse(form, pack(table(delimiter).encode(encoding)))
    assert [record.item for record in parsed] == TEXTS
    assert [record.line.number for record in parsed] == [2, 5, 6, 7]
    assert [record.carried["id"] for record in parsed] == ["0", "1", "2", "3"]


@pytest.mark.parametrize("after", [0, 2, 4, 5, 7])
def test_a_run_resumes_after_a_row_of_several_lines(after: int) -> None:
    raw = table(",").encode()
    assert [r.line.number for r in parse("csv", raw, after=after)] == [n for n in (2, 5, 6, 7) if n > after]


def test_a_quotation_mark_that_is_never_closed_costs_one_line() -> None:
    first, second, third = parse("csv", 'text,n\n"好,1\n坏,2\n"三""",3\n'.encode())
    assert first.fault == "a quotation mark opens a cell that is never closed" and first.line.number == 2
    assert (second.item, third.item) == ("坏", '三"')
    raw = 'text,n\n"好,1\n' + "坏,2\n" * (MAX_LINES + 5) + "三,3\n"
    assert [record.fault is None for record in parse("csv", raw.encode())] == [False] + [True] * (MAX_LINES + 6)
    (bad,) = parse("csv", 'text,n\n"好"的,1\n'.encode())
    assert bad.fault is not None and "write a quotation mark twice" in bad.fault


def test_quotation_marks_of_the_text_stay_in_a_tsv() -> None:
    parsed = parse("tsv", 'text\tn\n"好" 的\t1\n"全部"\t2\n"没有结束\t3\n'.encode())
    assert [record.item for record in parsed] == ['"好" 的', '"全部"', '"没有结束']


def test_a_json_array_is_read_item_by_item() -> None:
    items = [{"text": "一", "id": 1}, "二", {"text": 3}, {"text": "四\n行"}]
    parsed = parse("json", json.dumps(items, ensure_ascii=False, indent=2).encode("utf-8-sig"))
    assert [(record.line.number, record.item) for record in parsed] == [(1, "一"), (2, "二"), (3, None), (4, "四\n行")]
    lines = "".join(json.dumps(item) + "\n" for item in items)
    assert [record.item for record in parse("json", lines.encode())] == ["一", "二", None, "四\n行"]
    pairs = parse("json", b'["a", "b"]\n["c", "d"]\n', ("TEXT", "TEXT_PAIR"))
    assert [record.item for record in pairs] == [("a", "b"), ("c", "d")]
    assert parse("json", b" [ ] ") == []
    with pytest.raises(FileError, match="in is no JSON array: "):
        parse("json", b'["a", ')


def test_line_ends_and_encodings_of_plain_text() -> None:
    assert [record.item for record in parse("txt", "一\r二\r三".encode())] == ["一", "二", "三"]
    assert [record.item for record in parse("txt", "一\r\n二\u2028三\n".encode())] == ["一", "二\u2028三"]
    wrong = parse("txt", "房间很好\n".encode("gbk") * 9 + b"\xff\xff\n" + "一样\n".encode("gbk"))
    assert [record.item for record in wrong] == ["房间很好"] * 9 + [None, "一样"]
    assert readable(io.BytesIO("房间很好".encode("gbk")), "in", "txt").note == "in: read as GB18030"
    with pytest.raises(FileError, match="it looks like UTF-16LE: convert it with `iconv"):
        parse("txt", "plain text".encode("utf-16-le"))
    with pytest.raises(FileError, match="in cannot be unpacked"):
        parse("txt", gzip.compress("一二三\n".encode() * 99)[:-20])


def test_a_plain_file_stays_one_that_can_be_sought_in(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("一\n", encoding="utf-8")
    with path.open("rb") as stream:
        assert readable(stream, "a.txt", "txt").stream is stream
    path.write_bytes(gzip.compress(b"a\n"))
    with path.open("rb") as stream:
        packed = readable(stream, "a.txt", "txt").stream
        assert not packed.seekable() and packed.fileno() == stream.fileno() and packed.read() == b"a\n"
