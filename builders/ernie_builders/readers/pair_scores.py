"""Pairs of texts with a score, tab-separated without a header: STS-B."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import DataError
from . import Example
from .files.lines import lines


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """Lines of `text TAB text TAB score`; target: the score as a number."""
    del columns, split
    for number, line in lines(path):
        if not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) != 3:
            raise DataError(f"{path}:{number}: {len(parts)} fields, expected two texts and a score, with TAB between")
        try:
            score = float(parts[2])
        except ValueError:
            raise DataError(f"{path}:{number}: the score {parts[2]!r} is not a number") from None
        yield Example((parts[0], parts[1]), score, number)
