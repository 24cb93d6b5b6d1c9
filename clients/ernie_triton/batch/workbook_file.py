"""The answers as an Excel workbook: the columns of a table of answers; needs openpyxl."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ernie_runtime.install import install_hint

from ..errors import FileError
from .table_file import LINE, TableFile, cell_text

ROWS = 1_048_576  # of a sheet
CELL = 32_767  # characters of a cell
_NO_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


class WorkbookFile(TableFile):
    """OUT.xlsx: one sheet. Numbers and truth values are such; texts are never formulas, whatever they begin with."""

    def convert(self, path: Path, lines: int) -> None:
        """Two passes over the answers: the names of the columns, then the rows, which are written as they come."""
        need_openpyxl(str(self.path))
        import openpyxl

        names, rows = self.columns()
        book = openpyxl.Workbook(write_only=True)
        sheet = book.create_sheet("answers")
        cut = 0
        header: dict[str, object] = {name: name for name in (LINE, *names)}
        for number, row in enumerate(_with_header(header, rows()), 1):
            if number > ROWS:
                raise FileError(f"{self.path}: a sheet has {ROWS:,} rows at most: give --output a .csv file")
            cells = [_cell(sheet, value) for value in row.values()]
            cut += sum(is_cut for _, is_cut in cells)
            sheet.append([cell for cell, _ in cells])
        book.save(path)
        if cut:
            sys.stderr.write(f"{self.path}: {cut:,} cells cut to the {CELL:,} characters that Excel takes\n")


def need_openpyxl(what: str) -> None:
    """FileError where it is not installed."""
    try:
        import openpyxl  # noqa: F401
    except ModuleNotFoundError:
        hint = install_hint("formats")
        raise FileError(f"{what} takes openpyxl; the extra 'formats' brings it: {hint}") from None


def _with_header(header: dict[str, object], rows: Iterator[dict[str, object]]) -> Iterator[dict[str, object]]:
    yield header
    yield from rows


def _cell(sheet: Any, value: object) -> tuple[Any, bool]:
    """A cell, and whether its text is cut. What XML cannot hold is escaped, as in CSV: \\x00."""
    from openpyxl.cell import WriteOnlyCell

    if value is None or isinstance(value, (bool, int, float)):
        return WriteOnlyCell(sheet, value), False
    text = _NO_XML.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), cell_text(value))
    cell = WriteOnlyCell(sheet, text[:CELL])
    cell.data_type = "s"
    return cell, len(text) > CELL
