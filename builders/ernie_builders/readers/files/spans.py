"""Labelled spans as annotation tools write them, and their offsets in characters of the text.

An offset that does not fit its text is never guessed: a span whose words are given is moved to where they are only if
they occur once in the text, and counted. Offsets in UTF-16 units or bytes are recognised by the words of the spans.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from pathlib import Path
from typing import TypeGuard

from ...errors import DataError
from .report import Report

CHARACTERS, UTF16, BYTES, GRAPHEMES = "characters", "UTF-16 units", "bytes of UTF-8", "grapheme clusters"
JOINER = "\u200d"
JOINED = {JOINER, *map(chr, range(0x1F3FB, 0x1F400))}  # and the tones of skin
FLAGS = {*map(chr, range(0x1F1E6, 0x1F200))}
STARTS, ENDS = ("start", "start_offset", "begin"), ("end", "end_offset")
LABELS = ("label", "labels", "type", "entity_type", "entity", "category")
WORDS = ("text", "word", "mention", "entity", "value")
UNSURE = "texts with spans behind an emoji or a combining mark, and no words given: offsets taken as characters"
MOVED = "spans moved to where their words are"


@dataclass(frozen=True, kw_only=True)
class Span:
    """A labelled part of a text; end is the position after it."""

    start: int
    end: int
    label: str
    words: str | None = None  # what the file says is there


@dataclass(frozen=True, kw_only=True)
class Marked:
    """A text with its spans."""

    line: int
    text: str
    spans: Sequence[Span]


def spans_of(value: object, location: str) -> list[Span]:
    """The spans of one text; DataError where the value is none of the forms.

    [[start, end, label], ...] (doccano); [{"start" or "start_offset", "end" or "end_offset", "label", "labels" or
    "type", perhaps "text"}, ...] (doccano, Label Studio); {label: {words: [[first, last], ...]}} (CLUENER, inclusive);
    or the JSON of one of these.
    """
    if isinstance(value, str):
        if not value.strip():
            return []
        try:
            return spans_of(json.loads(value), location)
        except (ValueError, RecursionError) as error:
            raise DataError(f"{location}: expected labelled spans, found {value[:40]!r} ({error})") from None
    if value is None:
        return []
    if isinstance(value, Mapping):
        return list(_cluener(value, location))
    if not isinstance(value, list):
        raise DataError(f"{location}: expected a list of labelled spans, found {str(value)[:60]!r}")
    return [span for item in value for span in _item(item, location)]


def _cluener(value: Mapping[str, object], location: str) -> Iterator[Span]:
    for label, by_words in value.items():
        for words, places in by_words.items() if isinstance(by_words, Mapping) else [("", None)]:
            if not isinstance(places, list) or not all(_is_place(place) for place in places):
                found = f"{label!r}: {by_words!r}"[:60]
                raise DataError(f"{location}: expected {{label: {{words: [[first, last], ...]}}}}, found {found}")
            yield from (Span(start=first, end=last + 1, label=label, words=words) for first, last in places)


def _is_place(place: object) -> TypeGuard[list[int]]:
    return isinstance(place, list) and len(place) == 2 and all(type(offset) is int for offset in place)


def _item(item: object, location: str) -> Iterator[Span]:
    if isinstance(item, list) and len(item) == 3:
        place: object = item[:2]
        if _is_place(place):
            yield Span(start=place[0], end=place[1], label=str(item[2]))
            return
    if isinstance(item, Mapping):
        start, end = _first(item, STARTS, int), _first(item, ENDS, int)
        labels = _first(item, LABELS, (str, list))
        words = _first(item, WORDS, str)
        if isinstance(start, int) and isinstance(end, int) and labels:
            for label in [labels] if isinstance(labels, str) else labels if isinstance(labels, list) else []:
                yield Span(start=start, end=end, label=str(label), words=words if isinstance(words, str) else None)
            return
    raise DataError(f"{location}: expected a span such as [start, end, label], found {str(item)[:60]!r}")


def _first(item: Mapping[str, object], names: Sequence[str], kind: type | tuple[type, ...]) -> object:
    return next(
        (item[name] for name in names if isinstance(item.get(name), kind) and not isinstance(item[name], bool)), None
    )


def in_characters(path: Path, marked: Sequence[Marked], report: Report) -> Iterator[list[Span]]:
    """The spans of each text, in characters and in order, each once; DataError where one does not fit its text."""
    unit = _unit(path, marked)
    if unit != CHARACTERS:
        report.add(f"offsets are {unit}, converted to characters")
    else:
        for item in marked:
            if any(span.words is None and _ambiguous(item.text[: span.end]) for span in item.spans):
                report.add(UNSURE, item.line)
    for item in marked:
        spans = item.spans if unit == CHARACTERS else _converted(item, unit)
        located = [_located(path, item, span, report) for span in spans]
        unique = sorted(set(located), key=lambda span: (span.start, span.end, span.label))
        if len(unique) < len(located):
            report.add("texts with the same span twice, taken once", item.line)
        yield unique


def _ambiguous(text: str) -> bool:
    """Whether a position behind this text is another one in UTF-16 units or in grapheme clusters."""
    return any(c > "\uffff" or _continues(text, index, c) for index, c in enumerate(text))


def _fits(text: str, span: Span) -> bool:
    if not 0 <= span.start < span.end <= len(text):
        return False
    return span.words is None or text[span.start : span.end] == span.words


def _unit(path: Path, marked: Sequence[Marked]) -> str:
    """What the offsets of a file count: the first unit in which all of its spans fit, characters if none does."""
    if all(_fits(item.text, span) for item in marked for span in item.spans):
        return CHARACTERS
    for unit in (UTF16, BYTES, GRAPHEMES):
        converted = [_converted(item, unit) for item in marked]
        if not all(_fits(item.text, s) for item, spans in zip(marked, converted, strict=True) for s in spans):
            continue
        if any(span.words is None for item in marked for span in item.spans):
            first = next(i for i in marked if not all(_fits(i.text, span) for span in i.spans))
            raise DataError(
                f"{path}:{first.line}: a span lies outside its text: the offsets seem to count {unit}, "
                "and the file does not say which words are meant; export it with offsets in characters"
            )
        return unit
    return CHARACTERS


def _converted(item: Marked, unit: str) -> list[Span]:
    """The spans with offsets from `unit` to characters; -1 for one inside a character."""
    position = char_positions(item.text, unit)
    return [replace(s, start=position.get(s.start, -1), end=position.get(s.end, -1)) for s in item.spans]


def char_positions(text: str, unit: str) -> Mapping[int, int]:
    """Offset in `unit` of each character of a text, and of its end -> offset in characters."""
    if unit == UTF16 and max(text, default="") <= "\uffff":
        return {i: i for i in range(len(text) + 1)}
    if unit == GRAPHEMES:
        starts = [i for i, c in enumerate(text) if not _continues(text, i, c)]
        return {offset: start for offset, start in enumerate([*starts, len(text)])}
    sizes = [len(c.encode("utf-8", "surrogatepass")) if unit == BYTES else 1 + (c > "\uffff") for c in text]
    return {offset: i for i, offset in enumerate(accumulate(sizes, initial=0))}


def _continues(text: str, index: int, character: str) -> bool:
    """Whether a character belongs to what a reader sees as one with the character before it: marks, parts of emoji."""
    if index == 0:
        return False
    if unicodedata.category(character) in ("Mn", "Me", "Mc") or character in JOINED or text[index - 1] == JOINER:
        return True
    flags = 0
    while flags <= index and text[index - flags] in FLAGS:
        flags += 1
    return flags > 0 and flags % 2 == 0  # two regional indicators are a flag


def _located(path: Path, item: Marked, span: Span, report: Report) -> Span:
    if _fits(item.text, span):
        return replace(span, words=None)
    place = f"{path}:{item.line}: {span.label} at {span.start}..{span.end}"
    if span.words is None:
        raise DataError(f"{place} lies outside the text of {len(item.text)} characters")
    if not span.words or item.text.count(span.words) != 1:
        times = item.text.count(span.words) if span.words else 0
        occurs = f"occurs {times} times in the text" if times else "is not in the text"
        there = item.text[max(span.start, 0) : span.end]
        raise DataError(f"{place} is {there[:40]!r}, not {span.words[:40]!r}, which {occurs}")
    start = item.text.index(span.words)
    report.add(MOVED, item.line)
    return replace(span, start=start, end=start + len(span.words), words=None)
