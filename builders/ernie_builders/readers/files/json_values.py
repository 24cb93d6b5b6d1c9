"""JSON files: lines of values, one array, or values one after the other; each value with the line it starts on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from json.decoder import WHITESPACE  # type: ignore[attr-defined]
from pathlib import Path

from ernie_runtime.json_types import JsonObject
from ernie_runtime.text_files import Decoded

from ...errors import DataError


class _Twice(ValueError):
    """An object has a key twice."""


def json_values(path: Path, decoded: Decoded) -> tuple[bool, Iterator[tuple[int, object]]]:
    """(whether the file is one array, (line, value) of each value or of each item of the array).

    DataError where a value is not JSON, or an object has a key twice, of which json would keep one in silence.
    """
    text = decoded.text
    start = _skip(text, 0)
    if text[start : start + 1] == "[":
        try:
            end = json.JSONDecoder().raw_decode(text, start)[1]
        except (ValueError, RecursionError):
            end = len(text)  # the items are read one by one, up to the fault
        if _skip(text, end) == len(text):
            return True, _items(path, text, start + 1)
    return False, _values(path, text, start)


def _values(path: Path, text: str, position: int) -> Iterator[tuple[int, object]]:
    decoder, line = json.JSONDecoder(object_pairs_hook=_object), 1 + text.count("\n", 0, position)
    while position < len(text):
        value, end = _decode(decoder, path, text, position, line)
        yield line, value
        after = _skip(text, end)
        line += text.count("\n", position, after)
        position = after


def _items(path: Path, text: str, position: int) -> Iterator[tuple[int, object]]:
    """The items of an array that begins before `position`."""
    decoder, line = json.JSONDecoder(object_pairs_hook=_object), 1 + text.count("\n", 0, position)
    separator = ""
    while True:
        start = _skip(text, position)
        line += text.count("\n", position, start)
        if text[start : start + 1] == "]" and separator in ("", "]"):
            return
        value, position = _decode(decoder, path, text, start, line)
        yield line, value
        line += text.count("\n", start, position)
        end = _skip(text, position)
        line += text.count("\n", position, end)
        separator = text[end : end + 1]
        if separator == "]":
            return
        if separator != ",":
            raise DataError(f"{path}:{line}: not JSON (a comma or ] is missing after an item of the array)")
        position = end + 1


def _decode(decoder: json.JSONDecoder, path: Path, text: str, position: int, line: int) -> tuple[object, int]:
    try:
        value, end = decoder.raw_decode(text, position)
    except _Twice as error:
        raise DataError(f"{path}:{line}: the key {error} is there twice in one object") from None
    except json.JSONDecodeError as error:
        raise DataError(f"{path}:{line}: not a JSON object ({error.msg}, line {error.lineno})") from None
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}:{line}: not a JSON object ({error})") from None
    return value, end


def _object(pairs: list[tuple[str, object]]) -> JsonObject:
    members = dict(pairs)
    if len(members) < len(pairs):
        name, _ = Counter(name for name, _ in pairs).most_common(1)[0]
        raise _Twice(repr(name))
    return members


def _skip(text: str, position: int) -> int:
    """The position of the first character that is no white space."""
    match = WHITESPACE.match(text, position)
    return int(match.end())
