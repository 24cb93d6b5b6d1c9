"""Lines of text files, as ernie_runtime.text_files reads them, and JSON lines; every fault names file and line."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

from ernie_runtime.errors import TextFileError
from ernie_runtime.json_types import JsonObject
from ernie_runtime.text_files import Decoded, read_bytes, read_text

from ...errors import DataError
from .report import Report


def read_file(path: Path, report: Report | None = None) -> Decoded:
    """A text file; DataError where it cannot be read. An encoding other than UTF-8 is reported, or printed."""
    try:
        decoded = read_text(path)
    except TextFileError as error:
        raise DataError(str(error)) from None
    if decoded.note and report is not None:
        report.add(decoded.note)
    elif decoded.note:
        sys.stderr.write(f"{path}: {decoded.note}\n")
    return decoded


def unpacked_bytes(path: Path) -> bytes:
    """The bytes of a file, unpacked where it is .gz or .xz; DataError where it cannot be read."""
    try:
        return read_bytes(path)
    except TextFileError as error:
        raise DataError(str(error)) from None


def lines(path: Path, report: Report | None = None) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its line break); DataError where the file cannot be read."""
    return read_file(path, report).lines()


def json_rows(path: Path, fields: str, report: Report | None = None) -> Iterator[tuple[int, JsonObject]]:
    """(line number from 1, JSON object) of each line that is not blank; DataError where a line is not an object.

    fields: the names that an object should have, for the message.
    """
    for number, line in lines(path, report):
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
    """DataError, beginning with `location`, for a string that is not text: JSON can escape half of a surrogate pair."""
    if any("\ud800" <= char <= "\udfff" for char in text):
        raise DataError(f"{location} holds half a surrogate pair (\\uD800 to \\uDFFF): no text")
