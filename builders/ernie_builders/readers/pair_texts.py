"""The two texts of a pair as two examples: for evaluating a task of one text, such as an embedding, on pairs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ConfigError
from . import Example, get_reader
from .files.report import Report


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """Two examples per pair, each with the pair's target; columns: see `pairs_of`."""
    for pair in pairs_of(path, columns, split, report or Report()):
        for text in pair.texts:
            yield Example((text,), pair.target, pair.line, pair.group)


def pairs_of(path: Path, columns: Mapping[str, str], split: str, report: Report) -> Iterator[Example]:
    """The pairs of a file in another format; columns: `pairs`, the name of that format, and its columns."""
    format_columns = {name: value for name, value in columns.items() if name != "pairs"}
    if "pairs" not in columns:
        raise ConfigError('data.fields.pairs must name the format of the pairs, such as "clue_json"')
    for example in get_reader(columns["pairs"])(path, format_columns, split, report):
        if len(example.texts) != 2:
            raise ConfigError(f"data.fields: {columns['pairs']} gives {len(example.texts)} texts, a pair has 2")
        yield example
