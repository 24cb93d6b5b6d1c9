"""CLUEWSC2020: does a pronoun stand for a noun? Both are marked in the text, as CLUE's baselines mark them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError
from . import Example, check_text, json_rows

NOUN, PRONOUN = ("_", "_"), ("[", "]")
FIELDS = {"span1_text": str, "span1_index": int, "span2_text": str, "span2_index": int}


def mark_spans(text: str, span1: tuple[int, int], span2: tuple[int, int]) -> str:
    """The text with the noun `span1` as _noun_ and the pronoun `span2` as [pronoun]: what a client sends.

    Spans are (start, end) in characters, as Python slices, in any order. ValueError where one is empty or lies
    outside the text, or where they overlap.
    """
    for start, end in (span1, span2):
        if not 0 <= start < end <= len(text):
            raise ValueError(f"the span {start}..{end} is empty or outside the text of {len(text)} characters")
    (start, end, marks), (start2, end2, marks2) = sorted(((*span1, NOUN), (*span2, PRONOUN)))
    if end > start2:
        raise ValueError(f"the spans {start}..{end} and {start2}..{end2} overlap")
    first, second = (left + text[a:b] + right for a, b, (left, right) in ((start, end, marks), (start2, end2, marks2)))
    return text[:start] + first + text[end:start2] + second + text[end2:]


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """JSON lines with `text`, `label` and `target` (span1_text, span1_index: the noun; span2_...: the pronoun).

    One text an example, marked by `mark_spans`; target: the label.
    """
    del columns, split
    for number, row in json_rows(path, "text, target and label"):
        fault = _fault(row)
        if fault is not None:
            raise DataError(f"{path}:{number}: {fault}")
        check_text(row["text"], f"{path}:{number}: field 'text'")
        text, target, spans = row["text"], row["target"], []
        for name in ("span1", "span2"):
            start, wanted = target[f"{name}_index"], target[f"{name}_text"]
            spans.append((start, start + len(wanted)))
            if start < 0 or text[start : start + len(wanted)] != wanted:
                there = text[max(start, 0) : max(start, 0) + len(wanted)]
                raise DataError(f"{path}:{number}: {name}_text {wanted!r} is not at {start}, where {there!r} is")
        try:
            marked = mark_spans(text, spans[0], spans[1])
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}") from None
        yield Example((marked,), row["label"], number)


def _fault(row: Mapping[str, Any]) -> str | None:
    """Why a row is not of the format, or None."""
    for name, kind in (("text", str), ("label", str), ("target", dict)):
        if not isinstance(row.get(name), kind):
            return f"field {name!r} must be {'an object' if kind is dict else 'a string'}, found {row.get(name)!r}"
    for name, wanted in FIELDS.items():
        value = row["target"].get(name)
        if not isinstance(value, wanted) or isinstance(value, bool) or value == "":
            what = "a whole number" if wanted is int else "a string that is not empty"
            return f"field target.{name} must be {what}, found {value!r}"
    return None
