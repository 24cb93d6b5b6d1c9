"""Queries with their candidates, as JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ConfigError, DataError
from . import Example, check_text, json_rows

COLUMNS = ("query", "candidates", "positives", "labels")


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """JSON lines with a query, a list of candidates, and which of them fit; target: the indices of those.

    columns: `query`, `candidates`, and one of `positives` (indices from 0, or the texts themselves) and `labels`
    (0 or 1 a candidate) -> the names the file uses; by default the first three under these names.
    """
    del split
    if unknown := [name for name in columns if name not in COLUMNS]:
        raise ConfigError(f"data.fields.{unknown[0]} is none of {', '.join(COLUMNS)}")
    which = "labels" if "labels" in columns else "positives"
    names = {name: columns.get(name, name) for name in ("query", "candidates", which)}
    for number, row in json_rows(path, ", ".join(names.values())):
        where = f"{path}:{number}"
        for name in names.values():
            if name not in row:
                raise DataError(f"{where}: field {name!r} is missing; found {', '.join(row) or 'none'}")
        query, candidates, told = (row[name] for name in names.values())
        if not isinstance(query, str):
            raise DataError(f"{where}: field {names['query']!r} must be a string, found {query!r}")
        if not isinstance(candidates, list) or not all(isinstance(text, str) for text in candidates):
            raise DataError(f"{where}: field {names['candidates']!r} must be a list of strings")
        check_text(query, f"{where}: field {names['query']!r}")
        for text in candidates:
            check_text(text, f"{where}: field {names['candidates']!r}")
        if not isinstance(told, list):
            raise DataError(f"{where}: field {names[which]!r} must be a list")
        target = _labelled(told, candidates, where) if which == "labels" else _named(told, candidates, where)
        yield Example((query, json.dumps(candidates, ensure_ascii=False)), target, number)


def _labelled(labels: list[object], candidates: list[str], where: str) -> list[int]:
    if len(labels) != len(candidates):
        raise DataError(f"{where}: {len(labels)} labels for {len(candidates)} candidates")
    for label in labels:
        if str(label) not in ("0", "1"):
            raise DataError(f"{where}: label {label!r} is neither 0 nor 1")
    return [index for index, label in enumerate(labels) if str(label) == "1"]


def _named(positives: list[object], candidates: list[str], where: str) -> list[int]:
    found: set[int] = set()
    for one in positives:
        if isinstance(one, str):
            same = [index for index, text in enumerate(candidates) if text == one]
            if not same:
                raise DataError(f"{where}: {one!r} fits, but is not among the candidates")
            found.update(same)
        elif isinstance(one, int) and not isinstance(one, bool):
            found.add(one)
        else:
            raise DataError(f"{where}: {one!r} is neither an index nor a text of the candidates")
    return sorted(found)
