"""The parts of the input: each is answered as a whole, by one process, into one file of the output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import IO

from ernie_runtime.text_files import GZIP, UTF8, XZ, encoding_of

from ...errors import FileError
from ..parquet import json_lines, row_count
from ..plan import PACKED
from ..records import FORMATS
from ..source import CHUNK, PEEK, Source, as_stream, readable
from .storage import Storage, StoredFile

LINES = 16384  # of a part: half a minute of work for a small encoder and short texts
SPLIT = ("jsonl", "txt")  # formats whose lines stand alone, so that a part may begin at any of them


@dataclass(frozen=True, kw_only=True)
class Part:
    """Some lines of a file: `end` is None where the part goes to the end of a file that is read as a whole."""

    name: str  # of the output, without the extension
    path: str
    format: str
    start: int = 0  # byte, or row of parquet
    end: int | None = None
    before: int = 0  # lines of the file ahead of it


def format_of(file: StoredFile, given: str | None) -> str:
    """One of FORMATS; FileError where the name does not say."""
    path = PurePosixPath(file.name.lower())
    suffix = (PurePosixPath(path.stem) if path.suffix in PACKED else path).suffix.removeprefix(".")
    if given is None and suffix not in FORMATS:
        raise FileError(f"{file.path}: --format says what it holds, one of {', '.join(FORMATS)}")
    return given or suffix


def parts_of(storage: Storage, file: StoredFile, given: str | None, lines: int) -> Iterator[Part]:
    """The parts of a file, of `lines` lines each where it can be cut: parquet, and plain JSON lines and text in UTF-8.

    Other files (packed, CSV, another encoding) are a part each.
    """
    form = format_of(file, given)
    stem = str(PurePosixPath(file.name).with_name(PurePosixPath(file.name).name.partition(".")[0] or "part"))
    bounds: Sequence[tuple[int, int | None, int]] = [(0, None, 0)]
    with storage.open(file.path) as stream:
        if form == "parquet":
            rows = row_count(stream, file.path)
            bounds = [(start, min(start + lines, rows), start) for start in range(0, rows, lines)] or bounds
        elif form in SPLIT and _can_be_cut(stream):
            bounds = list(_cuts(stream, lines))
    for number, (start, end, before) in enumerate(bounds):
        name = f"{stem}-{number:05}"
        yield Part(name=name, path=file.path, format=form, start=start, end=end, before=before)


def read_part(stream: IO[bytes], part: Part) -> Source:
    """The lines of a part, of its open file."""
    if part.format == "parquet":
        return Source(stream=as_stream(stream, json_lines(stream, part.path, part.start, part.end)))
    if part.end is None:
        return readable(as_stream(stream, iter(lambda: stream.read(CHUNK), b"")), part.path, part.format)
    return Source(stream=as_stream(stream, _range(stream, part.start, part.end)))


def _range(stream: IO[bytes], start: int, end: int) -> Iterator[bytes]:
    stream.seek(start)
    while start < end and (chunk := stream.read(min(CHUNK, end - start))):
        start += len(chunk)
        yield chunk


def _can_be_cut(stream: IO[bytes]) -> bool:
    sample = stream.read(PEEK)
    stream.seek(0)
    if sample.startswith((GZIP, XZ)) or encoding_of(sample) != UTF8 or b"\x00" in sample:
        return False
    return b"\n" in sample or b"\r" not in sample


def _cuts(stream: IO[bytes], lines: int) -> Iterator[tuple[int, int, int]]:
    """Start, end and lines before, of each part; one part, from 0 to 0, of an empty file."""
    start = position = before = count = 0
    while chunk := stream.read(1 << 20):
        at = 0
        while (line_end := chunk.find(b"\n", at)) >= 0:
            at, count = line_end + 1, count + 1
            if count == lines:
                yield start, position + at, before
                start, before, count = position + at, before + lines, 0
        position += len(chunk)
    if position > start or start == 0:
        yield start, position, before
