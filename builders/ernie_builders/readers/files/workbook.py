"""Sheets of Excel workbooks (.xlsx)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from ernie_runtime.workbook import WorkbookError, read_workbook

from ...errors import ConfigError, DataError
from .report import Report

ZIP = b"PK\x03\x04"


def read_sheet(path: Path, report: Report, sheet: str = "") -> tuple[str, Iterator[tuple[int, list[object]]]]:
    """(description, (row number from 1, its cells as text) of each row that is not blank).

    sheet: its name; empty for the first one that has rows, and the others are reported.
    """
    try:
        with path.open("rb") as file:
            book = read_workbook(file)
    except (OSError, WorkbookError) as error:
        raise DataError(f"{path}: {error}") from None
    if sheet and sheet not in book.sheets:
        raise ConfigError(f"{path}: data.fields.sheet is {sheet!r}; the workbook has {', '.join(book.sheets)}")
    name = sheet or next(iter(book.filled), "")
    others = [other for other in book.filled if other != name]
    if others and not sheet:
        report.add(f"sheet {name!r} is read, {', '.join(map(repr, others))} not (data.fields.sheet chooses)")
    rows = enumerate(book.sheets.get(name, []), 1)
    return f"Excel, sheet {name!r}", ((i, list(row)) for i, row in rows if any(row))
