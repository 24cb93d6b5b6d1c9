"""Readers of labelled text: one function a file format, every fault with its file and line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ConfigError, DataError


@dataclass(frozen=True)
class Example:
    """One labelled item: a text an input of the kind, and the kind's target as JSON data."""

    texts: tuple[str, ...]
    target: Any
    line: int  # where it starts in its file


def lines(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, line without its end); DataError where the file is missing or not UTF-8."""
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


def clue_json(path: Path, columns: Mapping[str, str]) -> Iterator[Example]:
    """CLUE's JSON lines. columns: `text` (and `text_pair`), `label` -> the names the file uses; target: the label."""
    lacking = [key for key in ("text", "label") if key not in columns]
    if lacking:
        raise ConfigError(
            f"data.fields must name the file's {' and '.join(lacking)}, "
            'such as { text = "sentence", label = "label" }'
        )
    names = [columns[key] for key in ("text", "text_pair") if key in columns]
    for number, line in lines(path):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{path}:{number}: not a JSON object ({error})") from None
        if not isinstance(row, dict):
            raise DataError(f"{path}:{number}: expected a JSON object with {', '.join(names)} and {columns['label']}")
        for name in (*names, columns["label"]):
            if name not in row:
                raise DataError(f"{path}:{number}: field {name!r} is missing; found {', '.join(row) or 'none'}")
        for name in names:
            if not isinstance(row[name], str):
                raise DataError(f"{path}:{number}: field {name!r} must be a string, found {row[name]!r}")
            if any("\ud800" <= char <= "\udfff" for char in row[name]):
                raise DataError(
                    f"{path}:{number}: field {name!r} holds half a surrogate pair (\\uD800 to \\uDFFF): no text"
                )
        label = row[columns["label"]]
        if not isinstance(label, (str, int)) or isinstance(label, bool):
            raise DataError(
                f"{path}:{number}: field {columns['label']!r} must be a string or a whole number, found {label!r}"
            )
        yield Example(tuple(row[name] for name in names), str(label), number)


def labelled_tsv(path: Path, columns: Mapping[str, str]) -> Iterator[Example]:
    """A header, then fields with TAB between them. columns: `text` (and `text_pair`), `label` -> the header's names."""
    header: list[str] = []
    wanted = [columns.get("text", "text_a"), *([columns["text_pair"]] if "text_pair" in columns else [])]
    label = columns.get("label", "label")
    for number, line in lines(path):
        if not header:
            header = line.split("\t")
            for name in (*wanted, label):
                if name not in header:
                    raise DataError(f"{path}:{number}: the header has no column {name!r}; it has {', '.join(header)}")
            continue
        if not line.strip():
            continue
        parts = line.split("\t")
        if len(parts) != len(header):
            raise DataError(f"{path}:{number}: {len(parts)} fields, the header has {len(header)}")
        row = dict(zip(header, parts, strict=True))
        yield Example(tuple(row[name] for name in wanted), row[label].strip(), number)


def bio_columns(path: Path, columns: Mapping[str, str]) -> Iterator[Example]:
    """`character TAB tag` a line, a blank line between sentences; target: [[start, end, type], ...] in characters.

    An I- tag that continues nothing starts an entity, as the CoNLL evaluation script reads it.
    """
    del columns
    text, open_type, start = "", "", 0
    spans: list[list[Any]] = []
    number = 0
    for number, line in lines(path):
        if not line.strip("\r\n"):
            if text:
                yield Example((text,), spans, start)
            text, spans, open_type = "", [], ""
            continue
        parts = line.split("\t")
        if len(parts) != 2 or not parts[0]:
            raise DataError(f"{path}:{number}: expected `character TAB tag`, found {line[:40]!r}")
        token, tag = parts
        prefix, _, kind = tag.partition("-")
        if tag != "O" and (prefix not in ("B", "I") or not kind):
            raise DataError(f"{path}:{number}: expected a tag O, B-TYPE or I-TYPE, found {tag[:40]!r}")
        if not text:
            start = number
        if tag == "O":
            open_type = ""
        elif prefix == "B" or open_type != kind:
            spans.append([len(text), len(text) + len(token), kind])
            open_type = kind
        else:
            spans[-1][1] = len(text) + len(token)
        text += token
    if text:
        yield Example((text,), spans, start)


READERS: dict[str, Callable[[Path, Mapping[str, str]], Iterator[Example]]] = {
    "clue_json": clue_json,
    "labelled_tsv": labelled_tsv,
    "bio_columns": bio_columns,
}
