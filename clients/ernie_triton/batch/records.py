"""From the lines of a file (JSON lines, TSV, one text a line) to items of a task, and what is carried beside them."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..errors import FileError
from ..items import Item
from .lines import Line

FORMATS = ("jsonl", "tsv", "txt")
LISTS = ("CANDIDATES",)
"""Inputs whose one BYTES element is a JSON list of strings."""
SHOWN = 8  # keys or columns that a message names

Parsed = tuple[tuple[str, ...], Mapping[str, Any]]
"""One text an input, and the keys to carry."""
Parse = Callable[[str], "Parsed | None"]
"""From a line to an item; None for a header. Raises BadLine or FileError."""


class BadLine(Exception):
    """A line that holds no item; the message says why."""


@dataclass(frozen=True)
class Record:
    """A line and its item, or the reason why it has none."""

    line: Line
    item: Item | None = None
    fault: str | None = None
    carried: Mapping[str, Any] = field(default_factory=dict)


def records(lines: Iterable[Line], parse: Parse, after: int = 0) -> Iterator[Record]:
    """A record a line in order, from the line behind number `after` on; a header gives none."""
    begun = False  # the header, if any, is read
    for line in lines:
        if begun and line.number <= after:
            continue
        try:
            if line.fault is not None:
                raise BadLine(line.fault)
            text = line.text
            begun = True
            parsed = parse(text)
        except UnicodeDecodeError as error:
            record = Record(line, fault=f"not UTF-8: {error.reason} at byte {error.start} of the line")
        except BadLine as fault:
            record = Record(line, fault=str(fault))
        else:
            if parsed is None:
                continue
            parts, carried = parsed
            record = Record(line, parts[0] if len(parts) == 1 else parts, None, carried)
        if line.number > after:
            yield record


def parser(form: str, inputs: Sequence[str], fields: Mapping[str, str], name: str) -> Parse:
    """What reads the lines of one file.

    form: one of FORMATS. fields: key or column by input, where it is not the input's own name. name: of the file.
    """
    if form == "jsonl":
        return lambda text: _from_json(text, inputs, fields)
    if form == "tsv":
        return _Columns(inputs, fields, name)
    if len(inputs) > 1:
        raise FileError(
            f"{name}: a line of text is one input, and the task takes {_listed(inputs)}: use .tsv or .jsonl"
        )
    return lambda text: ((text,), {})


def split_cells(cells: Sequence[str], inputs: Sequence[str]) -> tuple[str, ...]:
    """One text an input from cells without names; the cells from a list input on are the list, if it is the last."""
    last = len(inputs) - 1
    if inputs[last] in LISTS and len(cells) > last and not (len(cells) == len(inputs) and cells[last].startswith("[")):
        return (*cells[:last], json.dumps(cells[last:], ensure_ascii=False))
    return tuple(cells)


def _from_json(text: str, inputs: Sequence[str], fields: Mapping[str, str]) -> Parsed:
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_object)
    except RecursionError:
        raise BadLine("not JSON that can be read: nested too deep") from None
    except json.JSONDecodeError as error:
        raise BadLine(f"not JSON: {error.msg} (column {error.colno})") from None
    except ValueError as error:
        raise BadLine(f"not JSON: {error}") from None
    if isinstance(value, dict):
        used = [_find(value, name, fields) for name in inputs]
        parts = [_part(value[key], name, f'"{key}"') for key, name in zip(used, inputs, strict=True)]
        return tuple(parts), {key: other for key, other in value.items() if key not in used}
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise BadLine(f"expected a JSON object, a string or a list of strings, got {_json_type(value)}")
    if len(value) != len(inputs):
        raise BadLine(f"a list of {len(value)}, and the task takes {_listed(inputs)}")
    return tuple(_part(one, name, name) for one, name in zip(value, inputs, strict=True)), {}


def _find(value: Mapping[str, Any], name: str, fields: Mapping[str, str]) -> str:
    """The key of an input: the one that `fields` gives, else its name in small or any letters."""
    wanted = fields.get(name, name.lower())
    if wanted in value:
        return wanted
    alike = [key for key in value if key.lower() == wanted.lower()] if name not in fields else []
    if len(alike) != 1:
        keys = ", ".join(list(value)[:SHOWN]) + (", ..." if len(value) > SHOWN else "")
        raise BadLine(f'no "{wanted}" among its keys ({keys})' if not alike else f'several keys are "{wanted}"')
    return alike[0]


def _part(value: Any, name: str, where: str) -> str:
    if isinstance(value, str):
        return value
    if name in LISTS and isinstance(value, list) and all(isinstance(one, str) for one in value):
        return json.dumps(value, ensure_ascii=False)
    wanted = "a string or a list of strings" if name in LISTS else "a string"
    raise BadLine(f"{where} must be {wanted}, not {_json_type(value)}")


def _json_type(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """JSON readers keep the last of two values under one key, and the answer would be one to half of the line."""
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        raise BadLine(f'several values under the key "{next(key for key in keys if keys.count(key) > 1)}"')
    return found


def _finite(text: str) -> float:
    """JSON has no NaN and no infinity; what comes in as one could not be written again."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number in JSON")
    return value


class _Columns:
    """TSV: a tab between cells, no quotes; the first line is a header where it names the inputs."""

    def __init__(self, inputs: Sequence[str], fields: Mapping[str, str], name: str) -> None:
        self._inputs, self._fields, self._name = inputs, fields, name
        self._first = True
        self._header: dict[str, int] | None = None

    def __call__(self, text: str) -> Parsed | None:
        cells = text.split("\t")
        if self._first:
            self._first = False
            self._header = self._read_header(cells)
            if self._header is not None:
                return None
        if self._header is None:
            parts = split_cells(cells, self._inputs)
            if len(parts) != len(self._inputs):
                raise BadLine(f"{_count(cells)}, and the task takes {_listed(self._inputs)}")
            return parts, {}
        if len(cells) != len(self._header):
            raise BadLine(f"{_count(cells)}, and the header names {len(self._header)}")
        row = dict(zip(self._header, cells, strict=True))
        used = [_find(row, name, self._fields) for name in self._inputs]
        return tuple(row[key] for key in used), {key: cell for key, cell in row.items() if key not in used}

    def _read_header(self, cells: list[str]) -> dict[str, int] | None:
        names = {cell: column for column, cell in enumerate(cells)}
        try:
            for name in self._inputs:
                _find(names, name, self._fields)
        except BadLine as why:
            if self._fields or len(split_cells(cells, self._inputs)) != len(self._inputs):
                raise FileError(
                    f"{self._name}: the first line has {_count(cells)} and is no header for "
                    f"{_listed(self._inputs)} ({why}); --field INPUT=COLUMN says which column is which"
                ) from None
            return None
        if len(names) != len(cells):
            raise FileError(f"{self._name}: two columns of the header have the same name")
        return names


def _listed(inputs: Sequence[str]) -> str:
    return f"{len(inputs)} input{'s' * (len(inputs) != 1)} ({', '.join(inputs)})"


def _count(cells: Sequence[str]) -> str:
    return f"{len(cells)} column{'s' * (len(cells) != 1)}"
