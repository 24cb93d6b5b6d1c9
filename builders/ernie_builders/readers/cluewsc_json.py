"""CLUEWSC2020: whether a pronoun refers to a noun. Both are marked in the text, as in CLUE's baselines."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ernie_runtime.json_types import Json

from ..errors import DataError
from . import Example, check_fields
from .files.lines import check_text, json_rows
from .files.report import Report

NOUN, PRONOUN = ("_", "_"), ("[", "]")
FIELDS = {"span1_text": str, "span1_index": int, "span2_text": str, "span2_index": int}


def mark_spans(text: str, span1: tuple[int, int], span2: tuple[int, int]) -> str:
    """The text with the noun `span1` as _noun_ and the pronoun `span2` as [pronoun], as clients must send it.

    Spans are (start, end) in characters, in Python's slicing, in any order. ValueError where one is empty or lies
    outside the text, or where they overlap.
    """
    for start, end in (span1, span2):
        if not 0 <= start < end <= len(text):
            raise ValueError(f"the span {start}..{end} is empty or outside the text of {len(text)} characters")
    (start1, end1, marks1), (start2, end2, marks2) = sorted(((*span1, NOUN), (*span2, PRONOUN)))
    if end1 > start2:
        raise ValueError(f"the spans {start1}..{end1} and {start2}..{end2} overlap")
    first, second = text[start1:end1].join(marks1), text[start2:end2].join(marks2)
    return text[:start1] + first + text[end1:start2] + second + text[end2:]


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """JSON lines with `text`, `label` and `target` (span1_text, span1_index: the noun; span2_...: the pronoun).

    Each example has one text, marked by `mark_spans`; target: the label.
    """
    del split
    check_fields(columns)
    for number, row in json_rows(path, "text, target and label", report):
        fault = _fault(row)
        if fault is not None:
            raise DataError(f"{path}:{number}: {fault}")
        check_text(row["text"], f"{path}:{number}: field 'text'")
        text, target, spans = row["text"], row["target"], []
        for name in ("span1", "span2"):
            start, expected = target[f"{name}_index"], target[f"{name}_text"]
            spans.append((start, start + len(expected)))
            if start < 0 or text[start : start + len(expected)] != expected:
                actual = text[max(start, 0) : max(start, 0) + len(expected)]
                raise DataError(f"{path}:{number}: {name}_text {expected!r} is not at {start}, where {actual!r} is")
        try:
            marked = mark_spans(text, spans[0], spans[1])
        except ValueError as error:
            raise DataError(f"{path}:{number}: {error}") from None
        yield Example((marked,), row["label"], number)


def _fault(row: Json) -> str | None:
    """Why a row does not have this format, or None."""
    for name, expected in (("text", str), ("label", str), ("target", dict)):
        if not isinstance(row.get(name), expected):
            return f"field {name!r} must be {'an object' if expected is dict else 'a string'}, found {row.get(name)!r}"
    for name, field_type in FIELDS.items():
        value = row["target"].get(name)
        if not isinstance(value, field_type) or isinstance(value, bool) or value == "":
            description = "a whole number" if field_type is int else "a string that is not empty"
            return f"field target.{name} must be {description}, found {value!r}"
    return None
