"""The lines of a file of texts: counted, hashed as they are read, none larger than memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import IO, Any

from ..errors import FileError, OtherInput

LARGEST_LINE = 8 << 20  # bytes; a longer line is no text that a task takes
KEPT_OF_IT = 1000  # bytes of such a line that are kept for the report
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_GZIP = b"\x1f\x8b"
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Mark:
    """How far a file was read: so many whole lines and bytes, and their SHA-256."""

    lines: int = 0
    bytes: int = 0
    hash: Any = field(default_factory=hashlib.sha256, compare=False)

    @property
    def sha256(self) -> str:
        """Hexadecimal digest of all that was read."""
        return str(self.hash.hexdigest())


@dataclass(frozen=True)
class Line:
    """A line as it stands in the file, without its end and a byte order mark."""

    raw: bytes
    mark: Mark  # at its end
    fault: str | None = None  # where it is no line to work on

    @property
    def number(self) -> int:
        """From 1; empty lines count."""
        return self.mark.lines

    @property
    def text(self) -> str:
        """Raises UnicodeDecodeError."""
        return self.raw.decode("utf-8")


class Lines:
    """The lines of a binary stream that are not empty.

    name: of the file, for messages. expected: bytes and SHA-256 of what the file's beginning must be, OtherInput where
    it is not; if that ended in the midst of a line, the line may have got its end since, and nothing else.
    `mark` is how far was read, `empty` the number of empty lines till there.
    """

    def __init__(self, stream: IO[bytes], name: str, expected: tuple[int, str] | None = None) -> None:
        self._stream, self._name = stream, name
        self._expected = expected if expected is not None and expected[0] else None
        self._hash = hashlib.sha256()
        self._beginning = ""
        self.mark = Mark()
        self.empty = 0

    def __iter__(self) -> Iterator[Line]:
        lines = read = 0
        while piece := self._stream.readline(LARGEST_LINE):
            if lines == 0 and piece.startswith(_UTF_16):
                raise FileError(f"{self._name} is UTF-16; this reads UTF-8 (iconv -f UTF-16 -t UTF-8 makes it)")
            if lines == 0 and piece.startswith(_GZIP):
                raise FileError(f"{self._name} is compressed; zcat {self._name} | ... --input - reads it")
            fault, start = None, piece
            while True:
                self._take(piece, read)
                read += len(piece)
                if piece.endswith(b"\n") or not (more := self._stream.readline(LARGEST_LINE)):
                    break
                piece = more
                fault = f"the line is longer than {LARGEST_LINE >> 20} MiB; its beginning is kept here"
            lines += 1
            self.mark = Mark(lines, read, self._hash.copy())
            self._check(len(piece) - len(_without_end(piece)))
            raw = start[:KEPT_OF_IT] if fault else _without_end(start)
            raw = raw.removeprefix(_BOM) if lines == 1 else raw
            if raw.strip(b" "):
                yield Line(raw, self.mark, fault)
            else:
                self.empty += 1
        if self._expected is not None and read < self._expected[0]:
            raise self._changed(f"it has {read:,} bytes, and {self._expected[0]:,} were read then")

    def _take(self, piece: bytes, read: int) -> None:
        """Hash the piece behind `read` bytes, and keep what the hash is at the end of the expected beginning."""
        rest = piece
        if self._expected is not None and read < self._expected[0] <= read + len(piece):
            self._hash.update(piece[: self._expected[0] - read])
            rest = piece[self._expected[0] - read :]
            self._beginning = str(self._hash.hexdigest())
        self._hash.update(rest)

    def _check(self, line_end: int) -> None:
        """At the end of a line, of whose bytes the last `line_end` are its end."""
        if self._expected is None or self.mark.bytes < self._expected[0]:
            return
        if self._beginning != self._expected[1] or self.mark.bytes - self._expected[0] > line_end:
            raise self._changed(f"its first {self.mark.lines:,} lines differ")
        self._expected = None

    def _changed(self, how: str) -> OtherInput:
        return OtherInput(
            f"{self._name} is not the input that the output was begun with ({how}): "
            "give another --output, or --overwrite to start again"
        )


def _without_end(line: bytes) -> bytes:
    return line.removesuffix(b"\n").removesuffix(b"\r")
