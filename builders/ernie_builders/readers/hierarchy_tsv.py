"""Texts with any number of labels from a tree, one text per line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import DataError
from . import Example
from .files.lines import lines


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """Lines of `text TAB label,label##child,...` without a header; target: the labels as written, sorted, each once.

    A text with nothing after its TAB has no labels. Blank lines are skipped.
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
