"""Queries with a list of candidates, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ConfigError, DataError
from . import Example
from .files.lines import check_text, json_rows
from .files.report import Report

COLUMNS = ("query", "candidates", "positives", "labels")


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """JSON lines with a query, its candidates, and which of these are relevant; target: the indices of the relevant.

    columns: `query`, `candidates`, and either `positives` (indices from 0, or the texts themselves) or `labels` (0 or 1
    for each candidate) -> the names in the file; by default `query`, `candidates` and `positives`.
    """
    del split
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise ConfigError(f"data.fields.{unknown[0]} is none of {', '.join(COLUMNS)}")
    target_column = "labels" if "labels" in columns else "positives"
    names = {name: columns.get(name, name) for name in ("query", "candidates", target_column)}
    for number, row in json_rows(path, ", ".join(names.values()), report):
        location = f"{path}:{number}"
        for name in names.values():
            if name not in row:
                raise DataError(f"{location}: field {name!r} is missing; found {', '.join(row) or 'none'}")
        query, candidates, relevant = (row[name] for name in names.values())
        if not isinstance(query, str):
            raise DataError(f"{location}: field {names['query']!r} must be a string, found {query!r}")
        if not isinstance(candidates, list) or not all(isinstance(text, str) for text in candidates):
            raise DataError(f"{location}: field {names['candidates']!r} must be a list of strings")
        check_text(query, f"{location}: field {names['query']!r}")
        for text in candidates:
            check_text(text, f"{location}: field {names['candidates']!r}")
        if not isinstance(relevant, list):
            raise DataError(f"{location}: field {names[target_column]!r} must be a list")
        indices = _from_labels if target_column == "labels" else _from_positives
        target = indices(relevant, candidates, location)
        yield Example((query, json.dumps(candidates, ensure_ascii=False)), target, number)


def _from_labels(labels: list[object], candidates: list[str], location: str) -> list[int]:
    if len(labels) != len(candidates):
        raise DataError(f"{location}: {len(labels)} labels for {len(candidates)} candidates")
    for label in labels:
        if str(label) not in ("0", "1"):
            raise DataError(f"{location}: label {label!r} is neither 0 nor 1")
    return [index for index, label in enumerate(labels) if str(label) == "1"]


def _from_positives(positives: list[object], candidates: list[str], location: str) -> list[int]:
    indices: set[int] = set()
    for positive in positives:
        if isinstance(positive, str):
            equal = [index for index, text in enumerate(candidates) if text == positive]
            if not equal:
                raise DataError(f"{location}: {positive!r} fits, but is not among the candidates")
            indices.update(equal)
        elif isinstance(positive, int) and not isinstance(positive, bool):
            indices.add(positive)
        else:
            raise DataError(f"{location}: {positive!r} is neither an index nor a text of the candidates")
    return sorted(indices)
