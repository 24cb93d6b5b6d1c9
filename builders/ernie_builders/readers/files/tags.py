"""Tokens with tags: BIO, BIOES, BMES, BILOU, with - or _ before the type, as spans of the text."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from ernie_runtime.errors import ManifestError
from ernie_runtime.text.bio import OUTSIDE, parse_tag

from ...errors import DataError
from .spans import Span

SEPARATOR = "\x02"  # between tokens in PaddleNLP's files
CHINESE = re.compile(r"[\u3400-\u9fff]")


def joined(texts: Iterable[Sequence[str]]) -> str:
    """What stands between two tokens in a text: nothing where any token of the file is Chinese, else a blank."""
    return "" if any(CHINESE.search(token) for tokens in texts for token in tokens) else " "


def split_tagged(
    path: Path, line: int, text: object, tags: object, names: Sequence[str]
) -> tuple[list[str], list[str]]:
    """(tokens, their tags) of a row; names: of tags that are numbers. DataError where they are not as many."""
    tokens, marks = _parts(text), _parts(tags)
    if not all(isinstance(token, str) for token in tokens):
        raise DataError(f"{path}:{line}: expected a list of tokens, found {str(text)[:60]!r}")
    if names and all(type(mark) is int and 0 <= mark < len(names) for mark in marks):
        marks = [names[mark] for mark in marks if isinstance(mark, int)]
    if isinstance(text, str) and len(tokens) != len(marks):  # a plain text with one tag a character
        tokens = list(text)
    if len(tokens) != len(marks):
        raise DataError(f"{path}:{line}: {len(tokens)} tokens and {len(marks)} tags: there must be one for each token")
    return [str(token) for token in tokens], [str(mark) for mark in marks]


def _parts(value: object) -> list[object]:
    """The tokens or tags of a cell: a list, or text with \\x02, else blanks, between."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        with suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, str):
        return [*(value.split(SEPARATOR) if SEPARATOR in value else value.split())]
    return list(value) if isinstance(value, list) else []


class TagError(ValueError):
    """A tag is of no scheme; `position` is its token's, from 0."""

    def __init__(self, position: int, tag: str) -> None:
        super().__init__(f"expected a tag O or one such as B-TYPE or I-TYPE (B I O E S M L U), found {tag[:40]!r}")
        self.position = position


def tag_spans(tokens: Sequence[str], tags: Sequence[str], glue: str) -> tuple[str, list[Span]]:
    """(the text of the tokens with `glue` between, its spans); TagError for a tag of no scheme.

    A tag that continues no span starts one, as the CoNLL evaluation script reads it.
    """
    text, length = list[str](), 0
    spans, open_type = list[Span](), ""
    for position, (token, tag) in enumerate(zip(tokens, tags, strict=True)):
        try:
            role, kind = parse_tag(tag.strip())
        except ManifestError:
            raise TagError(position, tag) from None
        if text and glue:
            text.append(glue)
            length += len(glue)
        start, length = length, length + len(token)
        text.append(token)
        if role in "IE" and kind == open_type:
            spans[-1] = replace(spans[-1], end=length)
        elif role != OUTSIDE:
            spans.append(Span(start=start, end=length, label=kind))
        open_type = kind if role in "BI" else ""
    return "".join(text), spans
