"""Sheets of Excel workbooks (.xlsx), read with openpyxl, which the extra `formats` brings."""

from __future__ import annotations

import datetime
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import IO
from zipfile import BadZipFile, ZipFile, is_zipfile

from .archives import UnsafeArchive, check_zip
from .install import install_hint

PARTS = "xl/workbook.xml"
Rows = Sequence[Sequence[str]]


class WorkbookError(ValueError):
    """No workbook, or one that cannot be read; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Workbook:
    """Its sheets by name, in their order: the cells of each row, from row 1, as text."""

    sheets: Mapping[str, Rows]

    @property
    def filled(self) -> list[str]:
        """The names of the sheets that have a cell with something in it."""
        return [name for name, rows in self.sheets.items() if any(map(any, rows))]


def read_workbook(file: IO[bytes]) -> Workbook:
    """The workbook of a file that can be sought in; WorkbookError where it is none.

    Of a formula it has the value that was saved with it. Columns that are blank from top to bottom, which have been
    formatted or deleted, are left out at the right of a sheet.
    """
    if is_zipfile(file) and PARTS not in (names := ZipFile(file).namelist()):
        held = ", ".join(names[:3]) or "empty"
        raise WorkbookError(f"a zip archive, no .xlsx ({held}): unpack it, and name a file in it")
    try:
        import openpyxl
    except ImportError:
        hint = install_hint("formats")
        raise WorkbookError(f"reading it takes openpyxl; the extra 'formats' brings it: {hint}") from None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of styles and extensions, which have no part in the text
            check_zip(file)
            book = openpyxl.load_workbook(file, data_only=True)
    except (OSError, KeyError, ValueError, BadZipFile, UnsafeArchive) as error:
        raise WorkbookError(f"no workbook that can be read ({error})") from None
    return Workbook(sheets={sheet.title: _trimmed(sheet.values) for sheet in book.worksheets})


def _trimmed(values: object) -> list[list[str]]:
    rows = [[_text(cell) for cell in row] for row in values]  # type: ignore[attr-defined]
    width = max((i + 1 for row in rows for i, cell in enumerate(row) if cell), default=0)
    return [row[:width] for row in rows]


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
