"""Readers of labelled text: one module per file format, found by its name; every error names the file and line.

A module has `read(path, columns, split)`, an iterator of examples. `columns` is the task's data.fields: this format's
names for columns and settings -> the file's. `split` is "train" or "dev", for files that hold both. A Report follows,
which counts what was not taken as it is. To add a format, add a module here. Packages are no formats: `files` is what
the readers share, `sniff` guesses which of them fits.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..errors import ConfigError, DataError
from .files.folder import parts_of
from .files.report import Report


@dataclass(frozen=True)
class Example:
    """One labelled item."""

    texts: tuple[str, ...]  # one for each input of the task's kind
    target: Any  # JSON data, as the kind defines it
    line: int  # where the item starts in its file, from 1
    group: str = ""  # rows of one group (a session, a user) are never both trained on and evaluated on; empty: its own


class Reader(Protocol):
    """The function `read` of a format."""

    def __call__(
        self, path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None
    ) -> Iterator[Example]:
        """The examples of a file."""


TABLE = "table"
NO_FIELDS = "is not known: this format has no columns to name"
TABLES: Mapping[str, Mapping[str, str]] = {
    "clue_json": {},  # JSON lines of CLUE's classification tasks
    "labelled_tsv": {"text": "text_a", "label": "label"},  # ChnSentiCorp, LCQMC, SST-2
    "pair_scores": {"header": "no", "text": "1", "text_pair": "2", "score": "3"},  # STS-B
    "hierarchy_tsv": {"header": "no", "text": "1", "labels": "2"},  # PaddleNLP's `text TAB label,label##child`
}
"""Names of tables with columns of their own: format -> what `fields` need not say."""


def has_columns(name: str) -> bool:
    """Whether a format is that of a table, so that `fields.group` may name a column of it."""
    return name == TABLE or name in TABLES


def check_fields(columns: Mapping[str, str], known: Collection[str] = ()) -> None:
    """ConfigError for `fields` that a format does not know."""
    for name in columns:
        if name not in known:
            raise ConfigError(f"data.fields.{name} " + (f"is none of {', '.join(known)}" if known else NO_FIELDS))


def reader_names() -> list[str]:
    """The names of all file formats."""
    return sorted([*TABLES, *(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)])


def get_reader(name: str) -> Reader:
    """The reader called `name`; DataError where there is none.

    Of a folder (`xnli/train` with files 1, 2, ...) it reads each file, in the order of their names.
    """
    if name not in reader_names():
        raise DataError(f"data format {name!r} is none of {', '.join(reader_names())}")
    reader: Reader = importlib.import_module(f"{__name__}.{TABLE if name in TABLES else name}").read

    def read(
        path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None
    ) -> Iterator[Example]:
        for file in parts_of(path):
            yield from reader(file, {**TABLES.get(name, {}), **columns}, split, report)

    return read
