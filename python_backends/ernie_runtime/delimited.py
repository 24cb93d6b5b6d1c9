"""Tables as text: CSV and TSV as spreadsheets, pandas and plain scripts write them.

Cells with commas or semicolons between them may be quoted, as RFC 4180 has it. Between tabs quotes are rarer, and a
text may begin with a quotation mark: cells are quoted only where a program that quotes could have written the file,
see `is_quoted`. Standard library only, so that a client needs nothing else of this package.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from .text_files import whole_lines

TAB = "\t"
SAMPLE_ROWS = 50  # that a delimiter is chosen by
_BEGINS_QUOTED = re.compile(r'(?:^|\t)"', re.MULTILINE)
_CELL = re.compile(r'"((?:[^"]|"")*)"(?=[\t\n]|\Z)|[^\t\n]*')
_NUMBER = re.compile(r"[-+]?[\d.]*(?:[eE][-+]?\d+)?")


class DelimitedError(ValueError):
    """A row cannot be read; `line` is where it starts, from 1."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(reason)
        self.line = line


@dataclass(frozen=True, kw_only=True)
class Dialect:
    """How the rows of a file are written."""

    delimiter: str
    quoted: bool  # whether quotation marks around a cell are not part of it

    @property
    def description(self) -> str:
        """For a person."""
        if self.delimiter == TAB:
            return "TSV with quotes" if self.quoted else "TSV"
        return "CSV" if self.delimiter == "," else f"CSV ({self.delimiter})"


def find_dialect(sample: str, suffix: str) -> Dialect:
    """The dialect of a file that begins with `sample`, whole lines ending with LF.

    suffix: ".csv" may have commas, semicolons or tabs, the first of them that cuts all rows into the same number of
    cells. Any other file has tabs.
    """
    quoted_by_tab = is_quoted(sample)
    if suffix.lower() != ".csv":
        return Dialect(delimiter=TAB, quoted=quoted_by_tab)
    dialects = [Dialect(delimiter=delimiter, quoted=True) for delimiter in ",;"]
    dialects.append(Dialect(delimiter=TAB, quoted=quoted_by_tab))
    widths = [_widths(sample, dialect) for dialect in dialects]
    for dialect, width in zip(dialects, widths, strict=True):
        if width and width[0] > 1 and len(set(width)) == 1:
            return dialect
    first_line = sample.partition("\n")[0]
    return max(dialects, key=lambda dialect: first_line.count(dialect.delimiter))


def _widths(sample: str, dialect: Dialect) -> list[int]:
    """Cells in each of the first rows; none where the rows cannot be read."""
    try:
        return [len(cells) for _, cells in islice(read_cells(whole_lines(sample), dialect), SAMPLE_ROWS)]
    except DelimitedError:
        return []


def is_quoted(text: str) -> bool:
    """Whether quotation marks around the cells of a table with tabs belong to the format.

    They do where each quoted cell has a reason (a tab, a line break or a quotation mark inside; commas, where none is
    in a cell without quotes, as Excel writes it), or where every cell is quoted but for numbers.
    """
    if not _BEGINS_QUOTED.search(text):
        return False
    plain_comma = quoted_comma = no_reason = plain_words = False
    position = 0
    while position < len(text):
        cell = _CELL.match(text, position)
        assert cell is not None  # the second form takes anything, and nothing
        inner = cell[1]
        if inner is None:
            if cell[0].startswith('"'):
                return False
            plain_comma = plain_comma or "," in cell[0]
            plain_words = plain_words or not _NUMBER.fullmatch(cell[0])
        elif not any(mark in inner for mark in '\t\n"'):
            quoted_comma = quoted_comma or "," in inner
            no_reason = no_reason or "," not in inner
        position = cell.end() + 1
    return not plain_words or not (no_reason or (quoted_comma and plain_comma))


def is_open(row: str, delimiter: str) -> bool:
    """Whether a row ends inside a quoted cell, so that the next line belongs to it."""
    position = 0
    while position < len(row):
        if row[position] != '"':
            position = row.find(delimiter, position) + 1
            if not position:
                return False
            continue
        end = position + 1
        while (end := row.find('"', end)) >= 0 and row[end + 1 : end + 2] == '"':
            end += 2
        if end < 0:
            return True
        position = row.find(delimiter, end + 1) + 1
        if not position:
            return False
    return False


def read_cells(lines: Iterable[str], dialect: Dialect) -> Iterator[tuple[int, list[str]]]:
    """(line where the row starts, from 1; its cells) of each row; a blank line is a row without cells.

    lines: with their ends, LF, which are kept inside quoted cells. DelimitedError where a row cannot be read.
    """
    if not dialect.quoted:
        for number, line in enumerate(lines, 1):
            line = line.removesuffix("\n")
            yield number, line.split(dialect.delimiter) if line.strip() else []
        return
    reader = csv.reader(lines, delimiter=dialect.delimiter, strict=True)
    while True:
        start = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise DelimitedError(start, _reason(str(error), dialect.delimiter)) from None
        yield start, cells if any(cell.strip() for cell in cells) else []


def _reason(error: str, delimiter: str) -> str:
    """What the csv module complains about, in words for a person who sees the file."""
    if "unexpected end" in error or "field limit" in error:
        return "a quotation mark opens a cell that is never closed"
    if "expected after" in error:
        return f"after the quotation mark that closes a cell there is no {delimiter!r}: write a quotation mark twice"
    return error
