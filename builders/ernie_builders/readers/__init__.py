"""Readers of labelled text: one module per file format, found by its name; every error names the file and line.

A module has `read(path, columns, split)`, an iterator of examples. `columns` is the task's data.fields: this format's
names for columns and settings -> the file's. `split` is "train" or "dev", for files that hold both. To add a format,
add a module here. Packages are no formats: `files` is what the readers share, `sniff` guesses which of them fits.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import DataError


@dataclass(frozen=True)
class Example:
    """One labelled item."""

    texts: tuple[str, ...]  # one for each input of the task's kind
    target: Any  # JSON data, as the kind defines it
    line: int  # where the item starts in its file, from 1


Reader = Callable[[Path, Mapping[str, str], str], Iterator[Example]]


def reader_names() -> list[str]:
    """The names of all file formats."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__) if not module.ispkg)


def get_reader(name: str) -> Reader:
    """The reader called `name`; DataError where there is none."""
    if name not in reader_names():
        raise DataError(f"data format {name!r} is none of {', '.join(reader_names())}")
    reader: Reader = importlib.import_module(f"{__name__}.{name}").read
    return reader
