"""Lines joined to the rows of CSV, whose quoted cells may hold line breaks."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from dataclasses import replace

from ernie_runtime.delimited import DelimitedError, Dialect, is_open, read_cells

from .lines import Line, Lines

MAX_LINES = 1000  # of a row; a quotation mark that is never closed would take the rest of the file
NOT_CLOSED = "a quotation mark opens a cell that is never closed"


def rows(lines: Lines, dialect: Dialect) -> Iterator[Line]:
    """A row for each line that ends outside of quoted cells, with the lines before it that did not.

    A row has the number of its first line and the position of its last one. A line that opens a cell which is never
    closed is a fault, and the lines behind it are rows of their own.
    """
    source = iter(lines)
    pending = deque[Line]()
    while True:
        line = pending.popleft() if pending else next(source, None)
        if line is None:
            return
        row, joined = line, [line]
        while row.fault is None and is_open(row.raw.decode("utf-8", "replace"), dialect.delimiter):
            lines.inside_cell = True
            more = pending.popleft() if pending else next(source, None)
            if more is None or more.fault is not None or len(joined) == MAX_LINES:
                pending.extendleft(reversed([*joined[1:], *([more] if more else [])]))
                row = replace(line, fault=NOT_CLOSED)
                break
            joined.append(more)
            row = Line(raw=b"\n".join((row.raw, more.raw)), position=more.position, start=line.number)
        if len(joined) > 1 and row.fault is None and not _can_be_read(row, dialect):
            pending.extendleft(reversed(joined[1:]))
            row = replace(line, fault=NOT_CLOSED)
        lines.inside_cell = False
        if row.raw.strip(b" "):
            yield row


def _can_be_read(row: Line, dialect: Dialect) -> bool:
    text = row.raw.decode("utf-8", "replace")
    try:
        return len(list(read_cells((f"{line}\n" for line in text.split("\n")), dialect))) == 1
    except DelimitedError:
        return False
