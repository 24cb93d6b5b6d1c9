"""Queries with one candidate per row, the rows of a query with the same id: DBQA."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ConfigError, DataError
from . import Example
from .files.lines import check_text
from .files.report import Report
from .files.table import open_table

COLUMNS = {"group": "qid", "query": "text_a", "candidate": "text_b", "label": "label"}


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """One example per query; target: the indices of its candidates labelled 1.

    columns: `group` (the query's id), `query`, `candidate` and `label` (0 or 1) -> the names in the file; by default
    DBQA's `qid`, `text_a`, `text_b` and `label`. The rows of a query need not follow one another. Any file of rows is
    read, as by the format `table`.
    """
    del split
    report = report or Report()
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise ConfigError(f"data.fields.{unknown[0]} is none of {', '.join(COLUMNS)}")
    names = {**COLUMNS, **columns}
    groups: dict[str, tuple[int, str, list[str], list[int]]] = {}
    for line, row in open_table(path, report).rows:
        where = f"{path}:{line}"
        for name in names.values():
            if name not in row:
                raise DataError(f"{where}: field {name!r} is missing; found {', '.join(row) or 'none'}")
        query, candidate = row[names["query"]], row[names["candidate"]]
        for name, text in ((names["query"], query), (names["candidate"], candidate)):
            if not isinstance(text, str):
                raise DataError(f"{where}: field {name!r} must be a string, found {text!r}")
            check_text(text, f"{where}: field {name!r}")
        label = str(row[names["label"]]).strip()
        if label not in ("0", "1"):
            raise DataError(f"{where}: label {label!r} is neither 0 nor 1")
        first, expected, candidates, relevant = groups.setdefault(str(row[names["group"]]), (line, query, [], []))
        if query != expected:
            raise DataError(f"{where}: the query {query[:40]!r} has the same id as {expected[:40]!r} at line {first}")
        if label == "1":
            relevant.append(len(candidates))
        candidates.append(candidate)
    for line, query, candidates, relevant in groups.values():
        if not relevant:
            report.add("queries without a candidate labelled 1, left out", line)
            continue
        yield Example((query, json.dumps(candidates, ensure_ascii=False)), relevant, line)
