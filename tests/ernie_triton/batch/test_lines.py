"""Lines of a file: what counts as one, and the proof that a file begins as before."""

from __future__ import annotations

import hashlib
import io

import pytest

from ernie_triton.batch import lines as module
from ernie_triton.batch.lines import Lines
from ernie_triton.errors import FileError


def read_lines(raw: bytes) -> list[tuple[int, bytes]]:
    return [(line.number, line.raw) for line in Lines(io.BytesIO(raw), "in")]


def test_line_ends_empty_lines_and_a_byte_order_mark() -> None:
    lines = Lines(io.BytesIO("\ufeff一\r\n\n  \r\n二\t\n\t\n\ufeff三".encode()), "in")
    assert [(line.number, line.text) for line in lines] == [(1, "一"), (4, "二\t"), (5, "\t"), (6, "\ufeff三")]
    assert lines.empty == 2 and lines.position.lines == 6
    assert read_lines(b"") == [] and read_lines(b"a\rb\n") == [(1, b"a\rb")]


def test_marks_hash_the_bytes_as_they_are() -> None:
    raw = b"\xef\xbb\xbfa\r\n\nb\n"
    positions = [line.position for line in Lines(io.BytesIO(raw), "in")]
    assert [(position.lines, position.bytes) for position in positions] == [(1, 6), (3, 9)]
    assert [position.sha256 for position in positions] == [hashlib.sha256(raw[:n]).hexdigest() for n in (6, 9)]


def test_a_line_without_end_does_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LARGEST_LINE", 1 << 20)
    raw = b"short\n" + b"x" * (3 << 20) + b"\nafter\n"
    first, long, last = Lines(io.BytesIO(raw), "in")
    assert (first.raw, last.raw, last.number, last.fault) == (b"short", b"after", 3, None)
    assert len(long.raw) == module.EXCERPT_BYTES and long.fault is not None and "longer than 1 MiB" in long.fault
    assert last.position.sha256 == hashlib.sha256(raw).hexdigest()


def test_a_file_with_another_beginning_is_refused() -> None:
    raw = b"one\ntwo\nthree\n"
    proof = (8, hashlib.sha256(raw[:8]).hexdigest())
    assert len(list(Lines(io.BytesIO(raw), "in", proof))) == 3
    assert len(list(Lines(io.BytesIO(raw[:8]), "in", proof))) == 2
    half = (5, hashlib.sha256(raw[:5]).hexdigest())  # "one", "t"
    assert len(list(Lines(io.BytesIO(b"one\nt\nwo\n"), "in", half))) == 3
    with pytest.raises(FileError, match="first 2 lines differ"):
        list(Lines(io.BytesIO(raw), "in", half))
    for changed, why in ((b"one\ntwa\nthree\n", "first 2 lines differ"), (b"one\n", "it has 4 bytes, and 8")):
        with pytest.raises(FileError, match=f"in is not the input .*{why}.*--overwrite"):
            list(Lines(io.BytesIO(changed), "in", proof))
