"""Sheets of Excel workbooks (.xlsx), read with openpyxl."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Iterator
from pathlib import Path
from zipfile import BadZipFile, ZipFile, is_zipfile

from ...archives import UnsafeArchive, check_zip
from ...errors import ConfigError, DataError
from .report import Report

ZIP, PARTS = b"PK\x03\x04", "xl/workbook.xml"


def read_sheet(path: Path, report: Report, sheet: str = "") -> tuple[str, Iterator[tuple[int, list[object]]]]:
    """(description, (row number from 1, its cells as text) of each row that is not blank).

    sheet: its name; empty for the first one that has rows, and the others are reported.
    """
    if is_zipfile(path) and PARTS not in (names := ZipFile(path).namelist()):
        raise DataError(
            f"{path}: a zip archive, no .xlsx ({', '.join(names[:3]) or 'empty'}): unpack it, and name a file in it"
        )
    try:
        import openpyxl
    except ImportError:
        raise DataError(f"{path}: reading it takes openpyxl: pip install 'ernie-triton[formats]'") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which have no part in the text
            check_zip(path)
            with path.open("rb") as file:  # not the path: its suffix may say something else
                book = openpyxl.load_workbook(file, data_only=True)
    except (OSError, KeyError, ValueError, BadZipFile, UnsafeArchive) as error:
        raise DataError(f"{path}: no workbook that can be read ({error})") from None
    tables = {found.title: [[_text(cell) for cell in row] for row in found.values] for found in book.worksheets}
    filled = [name for name, rows in tables.items() if any(map(any, rows))]
    if sheet and sheet not in tables:
        raise ConfigError(f"{path}: data.fields.sheet is {sheet!r}; the workbook has {', '.join(tables)}")
    name = sheet or next(iter(filled), "")
    others = [other for other in filled if other != name]
    if others and not sheet:
        report.add(f"sheet {name!r} is read, {', '.join(map(repr, others))} not (data.fields.sheet chooses)")
    rows = tables.get(name, [])
    # Columns that are blank from top to bottom have been formatted or deleted.
    width = max((i + 1 for row in rows for i, cell in enumerate(row) if cell), default=0)
    return f"Excel, sheet {name!r}", ((i, list(row[:width])) for i, row in enumerate(rows, 1) if any(row))


def _text(cell: object) -> str:
    """A cell as a person sees it, but for number formats."""
    if cell is None:
        return ""
    if isinstance(cell, bool):
        return str(cell).upper()
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    if isinstance(cell, datetime.datetime) and not (cell.hour or cell.minute or cell.second):
        return cell.date().isoformat()
    return str(cell)
