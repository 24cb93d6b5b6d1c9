"""Rows with named columns, from any file that holds some: delimited text, JSON, .xlsx, parquet, a datasets folder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain, islice
from pathlib import Path

from ernie_runtime.delimited import SAMPLE_ROWS, TAB, DelimitedError, Dialect, find_dialect, read_cells
from ernie_runtime.json_types import JsonObject
from ernie_runtime.text_files import Decoded, whole_lines

from ...errors import DataError
from . import columnar, workbook
from .json_values import json_values
from .label_studio import flatten, is_task
from .lines import read_file
from .report import Report

SEPARATED = (".csv", ".tsv")  # suffixes of delimited text, whatever its first characters
EXCEL = (".xls", ".xlsx")  # what programs call tables for Excel that are no workbooks
OLD_EXCEL = b"\xd0\xcf\x11\xe0"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The rows of a file; they can be read once."""

    container: str  # for a person: "CSV", "JSON lines", ...
    columns: tuple[str, ...]  # names; "1", "2", ... where the file has no header; of JSON, the first row's keys
    rows: Iterator[tuple[int, JsonObject]]  # (line or row where it starts, from 1; column -> value)
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Names of the numbers in a column, where the file has them (ClassLabel of Hugging Face's datasets)."""
    typed: bool = False  # JSON: a number is no text
    sparse: bool = False  # Label Studio: a row has no column for what it has no value of


def open_table(path: Path, report: Report, *, header: bool = True, sheet: str = "") -> Table:
    """The rows of a file; DataError where it cannot be read.

    header: whether the first row of delimited text or of a sheet names the columns. sheet: of a workbook.
    """
    if path.is_dir():
        return _named(columnar.read_datasets_folder(path))
    start = _first_bytes(path)
    if start.startswith(columnar.PARQUET):
        return _named(columnar.read_parquet(path))
    if start.startswith(workbook.ZIP):
        container, cells = workbook.read_sheet(path, report, sheet)
        return _with_header(path, container, cells, header)
    if start.startswith(OLD_EXCEL):
        raise DataError(
            f"{path}: an Excel file of before 2007, or one with a password, is not read: save it as .xlsx or as CSV "
            "UTF-8"
        )
    decoded = read_file(path, report)
    if is_json(path, decoded):
        return _json_table(path, decoded, report)
    return _delimited(path, decoded, header)


def is_json(path: Path, decoded: Decoded) -> bool:
    """Whether a text file holds JSON, by its suffix or else its first character."""
    suffixes = [suffix.lower() for suffix in path.suffixes[-2:]]
    if any(suffix.startswith(".json") for suffix in suffixes):
        return True
    return not any(suffix in SEPARATED for suffix in suffixes) and decoded.text.lstrip()[:1] in ("{", "[")


def dialect_of(path: Path, decoded: Decoded) -> Dialect:
    """How a file of delimited text is written."""
    suffix = next((s for s in reversed(path.suffixes) if s.lower() in SEPARATED), path.suffix)
    suffix = ".csv" if suffix.lower() in EXCEL else suffix
    return find_dialect("".join(whole_lines(decoded.text)), suffix)


def _delimited(path: Path, decoded: Decoded, header: bool) -> Table:
    dialect = dialect_of(path, decoded)

    def cells() -> Iterator[tuple[int, list[object]]]:
        try:
            for number, row in read_cells(whole_lines(decoded.text), dialect):
                if row:
                    yield number, list(row)
        except DelimitedError as error:
            raise DataError(f"{path}:{error.line}: {error}") from None

    return _with_header(path, dialect.description, cells(), header, "TAB" if dialect.delimiter == TAB else "")


def _with_header(
    path: Path, container: str, cells: Iterator[tuple[int, list[object]]], header: bool, separator: str = ""
) -> Table:
    """Rows of cells as a table; blank rows have been left out."""
    number, first = next(cells, (0, []))
    if not first:
        return Table(container=container, columns=(), rows=iter(()))
    names = [str(cell).strip() for cell in first] if header else [str(i) for i in range(1, len(first) + 1)]
    expected = f"the header has {len(names)}" if header else f"the first row has {len(names)}"
    hint = f", with {separator} between" if separator else ""

    def rows() -> Iterator[tuple[int, JsonObject]]:
        if not header:
            yield number, dict(zip(names, first, strict=True))
        for line, row in cells:
            if len(row) != len(names):
                count = f"{len(row)} cell{'s' * (len(row) != 1)}"
                raise DataError(f"{path}:{line}: {count}{hint}, {expected}: {'; '.join(map(str, row))[:60]!r}")
            yield line, dict(zip(names, row, strict=True))

    if header:
        twice = next((name for name in names if name and names.count(name) > 1), "")
        if twice:
            raise DataError(f"{path}:{number}: two columns of the header are called {twice!r}")
    return Table(container=container, columns=tuple(names), rows=rows())


def _json_table(path: Path, decoded: Decoded, report: Report) -> Table:
    is_array, values = json_values(path, decoded)

    def objects() -> Iterator[tuple[int, JsonObject]]:
        for line, value in values:
            if not isinstance(value, dict):
                raise DataError(f"{path}:{line}: expected a JSON object, found {str(value)[:40]!r}")
            yield line, value

    rows = objects()
    first = next(rows, None)
    container = "a JSON array" if is_array else "JSON lines"
    if first is None:
        return Table(container=container, columns=(), rows=iter(()), typed=True)
    rows = chain([first], rows)
    if not is_task(first[1]):
        return Table(container=container, columns=tuple(first[1]), rows=rows, typed=True)
    flat = (row for line, value in rows for row in flatten(path, line, value, report))
    head = list(islice(flat, SAMPLE_ROWS))
    columns = tuple(dict.fromkeys(name for _, row in head for name in row))
    return Table(container="Label Studio JSON", columns=columns, rows=chain(head, flat), typed=True, sparse=True)


def _named(table: columnar.Columnar) -> Table:
    return Table(
        container=table.container,
        columns=table.columns,
        rows=enumerate(table.rows, 1),
        class_names=table.class_names,
    )


def _first_bytes(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(8)
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
