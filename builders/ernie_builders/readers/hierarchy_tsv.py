"""Texts with any number of labels in a tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import DataError
from . import Example, lines


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """`text TAB label,label##child,...` a line, no header; target: the labels as written, sorted, each once.

    Nothing after the TAB is a text without labels. Blank lines are left out.
    """
    del columns, split
    for number, line in lines(path):
        if not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) != 2:
            raise DataError(f"{path}:{number}: {len(parts)} fields, expected `text TAB label,label##child`")
        labels = [label.strip() for label in parts[1].split(",")] if parts[1].strip() else []
        if not all(labels):
            raise DataError(f"{path}:{number}: an empty label in {parts[1][:60]!r}")
        yield Example((parts[0],), sorted(set(labels)), number)
