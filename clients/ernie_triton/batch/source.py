"""The input of a run as lines of UTF-8, whatever it is: packed, in another encoding, one JSON array, with CR alone."""

from __future__ import annotations

import gzip
import io
import json
import lzma
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from json.decoder import WHITESPACE  # type: ignore[attr-defined]
from typing import IO, Any

from ernie_runtime.delimited import TAB, Dialect, find_dialect
from ernie_runtime.errors import TextFileError
from ernie_runtime.text_files import GB18030, GZIP, UTF8, UTF16, XZ, decode, encoding_of, fault, foreign_fault
from ernie_runtime.workbook import WorkbookError, read_workbook

from ..errors import FileError
from .parquet import json_lines

PEEK = 1 << 16  # bytes from the start that the encoding and the dialect are guessed from
CHUNK = 1 << 16  # bytes, or characters, that are converted at once
PLAIN_TSV = Dialect(delimiter=TAB, quoted=False)


@dataclass(frozen=True, kw_only=True)
class Source:
    """The input, open; it can be sought in only where it is a file that is read as it is."""

    stream: IO[bytes]
    dialect: Dialect = PLAIN_TSV  # of CSV and TSV
    note: str = ""  # what a person should know, such as the encoding


def readable(stream: IO[bytes], name: str, file_format: str) -> Source:
    """The stream as lines of UTF-8; FileError where it is of an encoding that is not read.

    file_format: one of `records.FORMATS`. A stream of UTF-8 lines is left as it is.
    """
    if file_format == "parquet":
        return Source(stream=as_stream(stream, json_lines(stream, name)))
    if file_format == "xlsx":
        return _sheet(stream, name)
    peekable = stream if isinstance(stream, io.BufferedReader) else io.BufferedReader(_Raw(stream), PEEK)
    start = peekable.peek(len(XZ))
    if start.startswith((GZIP, XZ)):
        peekable = as_stream(peekable, _unpacked(peekable, start.startswith(XZ), name))
    sample = peekable.peek(PEEK)
    if no_text := foreign_fault(sample, name):
        raise FileError(no_text)
    encoding = encoding_of(sample)
    if encoding == UTF8 and b"\x00" in sample:
        raise FileError(fault(sample, name, UTF8))
    old_ends = encoding == UTF8 and b"\r" in sample and b"\n" not in sample
    if encoding != UTF8 or old_ends:
        peekable = as_stream(peekable, _decoded(peekable, encoding, old_ends, name))
        sample = peekable.peek(PEEK)
    note = "" if encoding == UTF8 else f"{name}: read as {encoding}"
    if file_format == "json":
        peekable = as_stream(peekable, _json_lines(peekable, name))
    if file_format not in ("csv", "tsv"):
        return Source(stream=peekable, note=note)
    text = sample.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n")
    whole = text[: text.rfind("\n") + 1] or text  # the last line may be cut off
    return Source(stream=peekable, dialect=find_dialect(whole, f".{file_format}"), note=note)


def _sheet(stream: IO[bytes], name: str) -> Source:
    """The rows of a workbook's first sheet that has some, a JSON array of cells each; a blank row is an empty line."""
    try:
        book = read_workbook(io.BytesIO(stream.read()))
    except WorkbookError as error:
        raise FileError(f"{name}: {error}") from None
    sheet, *others = book.filled or [""]
    rows = book.sheets.get(sheet, ())
    lines = (json.dumps(row, ensure_ascii=False) if any(row) else "" for row in rows)
    note = f"{name}: sheet {sheet!r} is read, {', '.join(map(repr, others))} not" if others else ""
    return Source(stream=as_stream(stream, (f"{line}\n".encode("utf-8", "surrogatepass") for line in lines)), note=note)


class _Raw(io.RawIOBase):
    """A stream of bytes from chunks, or from another stream, which it keeps the descriptor of."""

    def __init__(self, stream: IO[bytes], chunks: Iterator[bytes] | None = None) -> None:
        self._stream, self._rest = stream, b""
        self._chunks = iter(lambda: stream.read(CHUNK), b"") if chunks is None else chunks

    def readable(self) -> bool:
        """Yes."""
        return True

    def fileno(self) -> int:
        """The descriptor of the stream that was converted."""
        return self._stream.fileno()

    def readinto(self, buffer: Any) -> int:
        """Fill the buffer as far as the next chunk goes; 0 at the end."""
        while not self._rest and (chunk := next(self._chunks, None)) is not None:
            self._rest = chunk
        view = memoryview(buffer).cast("B")
        part, self._rest = self._rest[: len(view)], self._rest[len(view) :]
        view[: len(part)] = part
        return len(part)


def as_stream(stream: IO[bytes], chunks: Iterator[bytes]) -> io.BufferedReader:
    """What the chunks, which were made of another stream, have in them; it cannot be sought in."""
    return io.BufferedReader(_Raw(stream, chunks), PEEK)


def _unpacked(stream: io.BufferedReader, is_xz: bool, name: str) -> Iterator[bytes]:
    opened: Callable[..., lzma.LZMAFile | gzip.GzipFile] = lzma.LZMAFile if is_xz else _gzip_file
    try:
        with opened(stream) as file:
            while chunk := file.read(CHUNK):
                yield chunk
    except (OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise FileError(f"{name} cannot be unpacked: {error}") from None


def _gzip_file(stream: IO[bytes]) -> gzip.GzipFile:
    return gzip.GzipFile(fileobj=stream)


def _decoded(stream: IO[bytes], encoding: str, old_ends: bool, name: str) -> Iterator[bytes]:
    """UTF-8 from another encoding; bytes that are not of it stay as they are, and are faults of their lines."""
    errors = "strict" if encoding == UTF16 else "surrogateescape"
    codec = {UTF8: "utf-8", UTF16: "utf-16", GB18030: "gb18030"}[encoding]
    text = io.TextIOWrapper(stream, codec, errors=errors, newline=None if old_ends else "")
    try:
        while chunk := text.read(CHUNK):
            yield chunk.encode("utf-8", "surrogateescape")
    except UnicodeError as error:
        raise FileError(f"{name} is not {encoding}: {error}") from None


def _json_lines(stream: IO[bytes], name: str) -> Iterator[bytes]:
    """The items of a JSON array, a line each; what is no array is left as it is."""
    raw = stream.read()
    if raw.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] != b"[":
        yield raw
        return
    try:
        text = decode(raw, name).text
    except TextFileError as error:
        raise FileError(str(error)) from None
    decoder = json.JSONDecoder()
    start = _skip(text, 0)
    try:
        _, end = decoder.raw_decode(text, start)
    except (ValueError, RecursionError) as error:
        raise FileError(f"{name} is no JSON array: {error}") from None
    if _skip(text, end) < len(text):  # an array a line
        yield raw
        return
    position = _skip(text, start + 1)
    while text[position] != "]":
        _, end = decoder.raw_decode(text, position)
        yield text[position:end].replace("\n", " ").replace("\r", " ").encode("utf-8") + b"\n"
        position = _skip(text, end)
        position = _skip(text, position + 1) if text[position] == "," else position


def _skip(text: str, position: int) -> int:
    """The position of the first character that is no white space."""
    return int(WHITESPACE.match(text, position).end())
