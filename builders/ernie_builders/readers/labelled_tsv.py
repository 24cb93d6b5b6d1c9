"""A tab-separated table with a header: ChnSentiCorp, LCQMC, SST-2."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import DataError
from . import Example
from .files.lines import lines


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """columns: `text` (and `text_pair`), `label` -> the names in the header; target: the label."""
    del split
    header: list[str] = []
    text_columns = [columns.get("text", "text_a"), *([columns["text_pair"]] if "text_pair" in columns else [])]
    label_column = columns.get("label", "label")
    for number, line in lines(path):
        if not header:
            header = line.split("\t")
            for name in (*text_columns, label_column):
                if name not in header:
                    raise DataError(f"{path}:{number}: the header has no column {name!r}; it has {', '.join(header)}")
            continue
        if not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) != len(header):
            raise DataError(f"{path}:{number}: {len(parts)} fields, the header has {len(header)}")
        row = dict(zip(header, parts, strict=True))
        yield Example(tuple(row[name] for name in text_columns), row[label_column].strip(), number)
