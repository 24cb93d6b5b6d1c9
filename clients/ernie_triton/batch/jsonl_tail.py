"""Reads the end of files of JSON lines that have a `line` number each; the last line may be incomplete."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from ..errors import FileError

_BLOCK = 1 << 20


def whole_lines(path: Path) -> int:
    """Bytes up to the last line end, which is included."""
    with path.open("rb") as file:
        end = file.seek(0, 2)
        while end > 0:
            start = max(0, end - _BLOCK)
            file.seek(start)
            line_end = file.read(end - start).rfind(b"\n")
            if line_end >= 0:
                return start + line_end + 1
            end = start
    return 0


def last_line(path: Path) -> int:
    """`line` of the last complete line, 0 where there is none; FileError where that line has no such number."""
    end = whole_lines(path)
    if end == 0:
        return 0
    with path.open("rb") as file:
        tail, start = b"", end - 1  # the search leaves out the last line end itself
        while start > 0 and b"\n" not in tail:
            size = min(_BLOCK, start)
            file.seek(start - size)
            tail = file.read(size) + tail
            start -= size
    number = _number(tail.rpartition(b"\n")[2])
    if number is None:
        raise FileError(f"the last line of {path} is no answer: --overwrite starts again")
    return number


def count_lines(path: Path) -> int:
    """The number of complete lines."""
    with path.open("rb") as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(_BLOCK), b""))


def bad_lines(path: Path) -> Iterator[tuple[int, int]]:
    """`line` and the end position in bytes of each complete line, up to the first without such a number."""
    if not path.exists():
        return
    end = 0
    with path.open("rb") as file:
        for raw in file:
            number = _number(raw) if raw.endswith(b"\n") else None
            if number is None:
                return
            end += len(raw)
            yield number, end


def cut_bad_lines(path: Path, last: int) -> None:
    """Keep the reports of lines up to `last`; a file that would be empty is removed."""
    kept_bytes = max((end for number, end in bad_lines(path) if number <= last), default=0)
    if kept_bytes == 0:
        path.unlink(missing_ok=True)
    elif kept_bytes < path.stat().st_size:
        with path.open("r+b") as file:
            file.truncate(kept_bytes)


def _number(raw: bytes) -> int | None:
    try:
        number = json.loads(raw)["line"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return None
    return number if type(number) is int else None
