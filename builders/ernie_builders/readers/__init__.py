"""Readers of labelled text: one module per file format, found by its name; every error names the file and line.

A module has `read(path, columns, split)`, an iterator of examples. `columns` is the task's data.fields: this format's
names for columns and settings -> the file's. `split` is "train" or "dev", for files that hold both. To add a format,
add a module here.
"""

from __future__ import annotations

import importlib
import json
import pkgutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ernie_runtime.json_types import JsonObject

from ..errors import DataError


@dataclass(frozen=True)
class Example:
    """One labelled item."""

    texts: tuple[str, ...]  # one for each input of the task's kind
    target: Any  # JSON data, as the kind defines it
    line: int  # where the item starts in its file, from 1


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its line break); DataError where the file is missing or not UTF-8."""
    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise DataError(f"{path}: no such file") from None
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror})") from None
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            yield number, line.removesuffix(b"\r").decode("utf-8")
        except UnicodeDecodeError as error:
            raise DataError(
                f"{path}:{number}: not UTF-8 at byte {error.start} of the line; save the file as UTF-8"
            ) from None


def json_rows(path: Path, fields: str) -> Iterator[tuple[int, JsonObject]]:
    """(line number from 1, JSON object) of each line that is not blank; DataError where a line is not an object.

    fields: the names that an object should have, for the message.
    """
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not a JSON object ({error})") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected a JSON object with {fields}")
        yield number, row


def check_text(text: str, location: str) -> None:
    """DataError, beginning with `where`, for a string that is not text: JSON can escape half of a surrogate pair."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise DataError(f"{location} holds half a surrogate pair (\\uD800 to \\uDFFF): no text")


Reader = Callable[[Path, Mapping[str, str], str], Iterator[Example]]


def reader_names() -> list[str]:
    """The names of all file formats."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def get_reader(name: str) -> Reader:
    """The reader called `name`; DataError where there is none."""
    if name not in reader_names():
        raise DataError(f"data format {name!r} is none of {', '.join(reader_names())}")
    reader: Reader = importlib.import_module(f"{__name__}.{name}").read
    return reader
