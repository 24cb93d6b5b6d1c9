"""Characters and BIO tags in columns (CoNLL)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError
from . import Example
from .files.lines import lines


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """Lines of `character TAB tag`, a blank line between sentences; target: [[start, end, type], ...] in characters.

    An I- tag that continues no entity starts one, as the CoNLL evaluation script reads it.
    """
    del columns, split
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
