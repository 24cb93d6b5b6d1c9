"""The lines of a file of texts: counted and hashed as they are read, each bounded in size."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from ..errors import OtherInput

LARGEST_LINE = 8 << 20  # bytes; no task takes a longer text
EXCERPT_BYTES = 1000  # of a longer line, kept for the report
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Position:
    """How far a file has been read: whole lines, bytes, and their SHA-256."""

    lines: int = 0
    bytes: int = 0
    hash: Any = field(default_factory=hashlib.sha256, compare=False)

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of all bytes read so far."""
        return str(self.hash.hexdigest())


@dataclass(frozen=True)
class Line:
    """A line of the file without its line end and byte order mark."""

    raw: bytes
    position: Position  # at the end of the line
    fault: str | None = None  # why it holds no text, if so
    start: int = 0  # number of its first line, where it has several (a row of CSV)

    @property
    def number(self) -> int:
        """From 1; empty lines count."""
        return self.start or self.position.lines

    @property
    def text(self) -> str:
        """Raises UnicodeDecodeError."""
        return self.raw.decode("utf-8")


class Lines:
    """The lines of a binary stream, without the empty ones.

    name: of the file, for messages. expected: length in bytes and SHA-256 of what the file must begin with; OtherInput
    where it does not. If that beginning ended within a line, only a line end may follow it now.
    before: lines of the file ahead of the stream, where that is a part of it.
    `position` is how far the stream has been read, `empty` the number of empty lines up to there.
    """

    def __init__(self, stream: IO[bytes], name: str, expected: tuple[int, str] | None = None, before: int = 0) -> None:
        self._stream, self._name, self._before = stream, name, before
        self._expected = expected if expected is not None and expected[0] else None
        self._hash = hashlib.sha256()
        self._beginning = ""
        self.position = Position(before)
        self.empty = 0
        self.inside_cell = False  # an empty line is part of a quoted cell

    def __iter__(self) -> Iterator[Line]:
        lines, bytes_read = self._before, 0
        while piece := self._stream.readline(LARGEST_LINE):
            fault, start = None, piece
            while True:
                self._hash_piece(piece, bytes_read)
                bytes_read += len(piece)
                if piece.endswith(b"\n") or not (more := self._stream.readline(LARGEST_LINE)):
                    break
                piece = more
                fault = f"the line is longer than {LARGEST_LINE >> 20} MiB; its beginning is kept here"
            lines += 1
            self.position = Position(lines, bytes_read, self._hash.copy())
            self._check(len(piece) - len(_without_end(piece)))
            raw = start[:EXCERPT_BYTES] if fault else _without_end(start)
            raw = raw.removeprefix(_BOM) if lines == 1 else raw
            if raw.strip(b" ") or self.inside_cell:
                yield Line(raw, self.position, fault)
            else:
                self.empty += 1
        if self._expected is not None and bytes_read < self._expected[0]:
            raise self._changed(f"it has {bytes_read:,} bytes, and {self._expected[0]:,} were read then")

    def _hash_piece(self, piece: bytes, offset: int) -> None:
        """Hash the piece that begins at byte `offset`; remember the hash at the end of the expected beginning."""
        rest = piece
        if self._expected is not None and offset < self._expected[0] <= offset + len(piece):
            self._hash.update(piece[: self._expected[0] - offset])
            rest = piece[self._expected[0] - offset :]
            self._beginning = str(self._hash.hexdigest())
        self._hash.update(rest)

    def _check(self, line_end: int) -> None:
        """Compare with the expected beginning at the end of a line; line_end: bytes of the line end."""
        if self._expected is None or self.position.bytes < self._expected[0]:
            return
        if self._beginning != self._expected[1] or self.position.bytes - self._expected[0] > line_end:
            raise self._changed(f"its first {self.position.lines:,} lines differ")
        self._expected = None

    def _changed(self, how: str) -> OtherInput:
        return OtherInput(
            f"{self._name} is not the input that the output was begun with ({how}): "
            "give another --output, or --overwrite to start again"
        )


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")
