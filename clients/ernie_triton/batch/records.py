"""Parses lines into items of a task: lines of a file (JSON, a table, plain text), and texts typed by a person."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import IO, Any

from ernie_runtime.delimited import DelimitedError, Dialect, read_cells
from ernie_runtime.json_types import Json, JsonObject

from ..errors import FileError
from ..items import LISTS, Item
from ..tasks import Task
from .lines import Line
from .source import PLAIN_TSV

FORMATS = ("jsonl", "json", "csv", "tsv", "txt", "xlsx", "parquet")
GUESSES: Mapping[str, Sequence[str]] = {
    "TEXT": (
        *("text", "text_a", "text1", "sentence", "sentence1", "content", "query", "question", "title", "review"),
        *("comment", "message", "内容", "文本", "句子", "正文", "评论", "标题", "原文", "工单内容"),
    ),
    "TEXT_PAIR": ("text_pair", "text_b", "text2", "sentence2", "question2", "query2", "hypothesis", "文本2", "句子2"),
    "QUESTION": ("question", "query", "问题"),
    "CONTEXT": ("context", "passage", "paragraph", "document", "text", "content", "正文", "原文", "内容"),
}
"""What an input is called where it is not called by its name; taken only where a single one of them is there."""
SHOWN = 8  # the maximum of keys or columns that a message names

Parsed = tuple[tuple[str, ...], Json]
"""One text per input, and the keys to carry to the output."""
Parse = Callable[[str], "Parsed | None"]
"""Parses a line into an item; None for a header. Raises BadLine or FileError."""


class BadLine(Exception):
    """The line holds no item; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A line and its item, or the reason why it has none."""

    line: Line
    item: Item | None = None
    fault: str | None = None
    carried: Json = field(default_factory=dict)


def records(lines: Iterable[Line], parse: Parse, after: int = 0) -> Iterator[Record]:
    """One record per line, in order, for the lines after number `after`; a header gives none."""
    begun = False  # whether the header, if any, has been read
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
            record = Record(line=line, fault=f"not UTF-8: {error.reason} at byte {error.start} of the line")
        except BadLine as fault:
            record = Record(line=line, fault=str(fault))
        else:
            if parsed is None:
                continue
            parts, carried = parsed
            record = Record(line=line, item=parts[0] if len(parts) == 1 else parts, fault=None, carried=carried)
        if line.number > after:
            yield record


def parser(
    file_format: str,
    inputs: Sequence[str],
    fields: Mapping[str, str],
    name: str,
    dialect: Dialect = PLAIN_TSV,
    keep: bool = False,
) -> Parse:
    """The parser for the lines of one file.

    file_format: one of FORMATS. fields: by input, its key or column where that has another name. name: of the file.
    dialect: of CSV and TSV. keep: carry the inputs too, by their key or column, or by their name where they have none.
    """
    if file_format in ("jsonl", "json", "parquet"):
        return lambda text: _from_json(text, inputs, fields, keep)
    if file_format in ("csv", "tsv"):
        return _Columns(inputs, fields, name, lambda text: _cells(text, dialect), keep)
    if file_format == "xlsx":
        return _Columns(inputs, fields, name, json.loads, keep)
    if len(inputs) > 1:
        raise FileError(
            f"{name}: a line of text is one input, and the task takes {_listed(inputs)}: use .csv, .tsv or .jsonl"
        )
    return lambda text: ((text,), _named([text], inputs, keep))


def split_cells(cells: Sequence[str], inputs: Sequence[str]) -> tuple[str, ...]:
    """One text per input from unnamed cells; where the last input is a list, all remaining cells are its elements."""
    last = len(inputs) - 1
    if inputs[last] in LISTS and len(cells) > last and not (len(cells) == len(inputs) and cells[last].startswith("[")):
        return (*cells[:last], json.dumps(cells[last:], ensure_ascii=False))
    return tuple(cells)


def _named(parts: Sequence[object], inputs: Sequence[str], keep: bool) -> Json:
    return {name.lower(): part for name, part in zip(inputs, parts, strict=True)} if keep else {}


def _from_json(text: str, inputs: Sequence[str], fields: Mapping[str, str], keep: bool) -> Parsed:
    try:
        value = json.loads(text, parse_float=_finite, parse_constant=_finite, object_pairs_hook=_object)
    except RecursionError:
        raise BadLine("not JSON that can be read: nested too deep") from None
    except json.JSONDecodeError as error:
        raise BadLine(f"not JSON: {error.msg} (column {error.colno})") from None
    except ValueError as error:
        raise BadLine(f"not JSON: {error}") from None
    return from_value(value, inputs, fields, keep)


def from_value(
    value: object, inputs: Sequence[str], fields: Mapping[str, str] = MappingProxyType({}), keep: bool = False
) -> Parsed:
    """As a line of JSON Lines is read, once it is parsed: an object, a string or a list of strings."""
    if isinstance(value, dict):
        keys = [_find_key(value, name, fields) for name in inputs]
        parts = [_part(value[key], name, f'"{key}"') for key, name in zip(keys, inputs, strict=True)]
        return tuple(parts), {key: other for key, other in value.items() if keep or key not in keys}
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list):
        raise BadLine(f"expected a JSON object, a string or a list of strings, got {_json_type(value)}")
    if len(value) != len(inputs):
        raise BadLine(f"a list of {len(value)}, and the task takes {_listed(inputs)}")
    parts = [_part(element, name, name) for element, name in zip(value, inputs, strict=True)]
    return tuple(parts), _named(value, inputs, keep)


def _find_key(value: Json, name: str, fields: Mapping[str, str]) -> str:
    """The key of an input: the one in `fields`, else its name, in lower case or matched ignoring case, else a guess."""
    key = fields.get(name, name.lower())
    if key in value:
        return key
    matches = [k for k in value if k.lower() == key.lower()] if name not in fields else []
    if not matches and name not in fields:
        matches = [k for k in value if k.lower() in GUESSES.get(name, ())]
    if len(matches) != 1:
        keys = ", ".join(list(value)[:SHOWN]) + (", ..." if len(value) > SHOWN else "")
        if not matches:
            raise BadLine(f'no "{key}" among its keys ({keys})')
        guessed = f'several keys may be "{key}" ({", ".join(matches)}): --field {name}=KEY says which'
        raise BadLine(f'several keys are "{key}"' if matches[0].lower() == key.lower() else guessed)
    return matches[0]


def _part(value: object, name: str, where: str) -> str:
    if isinstance(value, str):
        return value
    if name in LISTS and isinstance(value, list) and all(isinstance(element, str) for element in value):
        return json.dumps(value, ensure_ascii=False)
    expected = "a string or a list of strings" if name in LISTS else "a string"
    raise BadLine(f"{where} must be {expected}, not {_json_type(value)}")


def _json_type(value: object) -> str:
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _object(pairs: Sequence[tuple[str, Any]]) -> JsonObject:
    """Refuse a repeated key: json would keep only its last value, and the answer would be to half of the line."""
    members = dict(pairs)
    if len(members) < len(pairs):
        keys = [key for key, _ in pairs]
        raise BadLine(f'several values under the key "{next(key for key in keys if keys.count(key) > 1)}"')
    return members


def _finite(text: str) -> float:
    """Refuse NaN and infinity: JSON has neither, so they could not be written again."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is no number in JSON")
    return value


def _cells(text: str, dialect: Dialect) -> list[str]:
    """The cells of a row of CSV or TSV."""
    try:
        _, cells = next(read_cells((f"{line}\n" for line in text.split("\n")), dialect))
    except DelimitedError as error:
        raise BadLine(str(error)) from None
    return cells or text.split(dialect.delimiter)  # all of them blank


class _Columns:
    """Parser for the rows of a table, each cut into `cells`; the first one is a header where it names the inputs."""

    def __init__(
        self,
        inputs: Sequence[str],
        fields: Mapping[str, str],
        name: str,
        cells: Callable[[str], list[str]],
        keep: bool,
    ) -> None:
        self._cells, self._keep = cells, keep
        self._inputs, self._fields, self._name = inputs, fields, name
        self._first = True
        self._header: dict[str, int] | None = None

    def __call__(self, text: str) -> Parsed | None:
        cells = self._cells(text)
        if self._first:
            self._first = False
            self._header = self._read_header(cells)
            if self._header is not None:
                return None
        if self._header is None:
            parts = split_cells(cells, self._inputs)
            if len(parts) != len(self._inputs):
                raise BadLine(f"{_count(cells)}, and the task takes {_listed(self._inputs)}")
            return parts, _named(parts, self._inputs, self._keep)
        if len(cells) != len(self._header):
            raise BadLine(f"{_count(cells)}, and the header names {len(self._header)}")
        row = dict(zip(self._header, cells, strict=True))
        keys = [_find_key(row, name, self._fields) for name in self._inputs]
        carried = {key: cell for key, cell in row.items() if self._keep or key not in keys}
        return tuple(row[key] for key in keys), carried

    def _read_header(self, cells: list[str]) -> dict[str, int] | None:
        names = {cell: column for column, cell in enumerate(cells)}
        try:
            for name in self._inputs:
                _find_key(names, name, self._fields)
        except BadLine as reason:
            if self._fields or len(split_cells(cells, self._inputs)) != len(self._inputs):
                raise FileError(
                    f"{self._name}: the first line has {_count(cells)} and is no header for "
                    f"{_listed(self._inputs)} ({reason}); --field INPUT=COLUMN says which column is which"
                ) from None
            return None
        if len(names) != len(cells):
            raise FileError(f"{self._name}: two columns of the header have the same name")
        return names


def _listed(inputs: Sequence[str]) -> str:
    return f"{len(inputs)} input{'s' * (len(inputs) != 1)} ({', '.join(inputs)})"


def _count(cells: Sequence[str]) -> str:
    return f"{len(cells)} column{'s' * (len(cells) != 1)}"


def read_lines(stream: IO[bytes], size: int) -> Iterator[list[str]]:
    """Lines of UTF-8, `size` at a time; other bytes become lone surrogates, which `encode_item` refuses."""
    chunk: list[str] = []
    first = True
    for line in stream:
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        chunk.append(text.removeprefix("\ufeff") if first else text)
        first = False
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def as_parts(texts: Sequence[str], task: Task) -> list[Item]:
    """The texts as items, split at tabs where the task has several inputs."""
    if len(task.inputs) == 1:
        return list(texts)
    return [split_cells(text.split("\t"), task.inputs) for text in texts]


def typed_items(texts: Sequence[str], task: Task) -> list[Item]:
    """Arguments as items: one item each, or where the task has several inputs and no argument a tab, its parts."""
    if len(task.inputs) > 1 and len(texts) > 1 and not any("\t" in text for text in texts):
        parts = split_cells(texts, task.inputs)
        if len(parts) == len(task.inputs):
            return [parts]
    return as_parts(texts, task)


def wrong_parts(item: Item, task: Task) -> str | None:
    """Why an item does not have one part per input, in the words of the command line; None where it has."""
    if isinstance(item, str) or len(item) == len(task.inputs):
        return None
    return f"expected {len(task.inputs)} parts ({', '.join(task.inputs)}) with a tab between them, got {len(item)}"
