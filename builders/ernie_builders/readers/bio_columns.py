"""Tokens and tags in columns (CoNLL)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern

from ..errors import DataError
from . import Example, check_fields
from .files.lines import lines
from .files.report import Report
from .files.spans import Marked, in_characters
from .files.tags import SEPARATOR, TagError, joined, tag_spans

DOCUMENT = "-DOCSTART-"
BLANKS = re.compile(" +")


@dataclass(frozen=True, kw_only=True)
class _Sentence:
    line: int
    tokens: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """Lines of a token and its tag, a blank line between sentences; target: [[start, end, type], ...] in characters.

    Columns are separated by a tab, by \\x02 or by blanks; the first is the token, the last its tag, and what is between
    (CoNLL's part of speech and chunk) is not read. Tags: O, and B I (E S), B M E S or B I L U before -TYPE or _TYPE. A
    tag that continues no entity starts one, as the CoNLL evaluation script reads it. Lines of `-DOCSTART-` are skipped.
    Where no token of the file is Chinese, tokens are words, with a blank between two.
    """
    del split
    check_fields(columns)
    report = report or Report()
    sentences = list(_sentences(path, report))
    glue = joined(sentence.tokens for sentence in sentences)
    marked = []
    for sentence in sentences:
        try:
            text, spans = tag_spans(sentence.tokens, sentence.tags, glue)
        except TagError as error:
            raise DataError(f"{path}:{sentence.line + error.position}: {error}") from None
        marked.append(Marked(line=sentence.line, text=text, spans=spans))
    for item, spans in zip(marked, in_characters(path, marked, report), strict=True):
        yield Example((item.text,), [[span.start, span.end, span.label] for span in spans], item.line)


def _sentences(path: Path, report: Report) -> Iterator[_Sentence]:
    sentence = _Sentence(line=0)
    for number, line in lines(path, report):
        if not line.strip() or line.startswith(DOCUMENT):
            if sentence.tokens:
                yield sentence
            sentence = _Sentence(line=0)
            continue
        separator = next((mark for mark in ("\t", SEPARATOR) if mark in line), None)
        cells = line.rstrip().split(separator) if separator else BLANKS.split(line.rstrip(" "))
        if len(cells) < 2 or not cells[0]:
            raise DataError(f"{path}:{number}: expected `token TAB tag`, found {line[:40]!r}")
        if not sentence.tokens:
            sentence = _Sentence(line=number)
        sentence.tokens.append(intern(cells[0]))
        sentence.tags.append(intern(cells[-1]))
    if sentence.tokens:
        yield sentence
