"""Spoken language understanding in sessions, with slots tagged in the text (NLPCC 2018, shared task 4)."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import ConfigError, DataError
from . import Example
from .files.lines import lines
from .files.report import Report

PARTS = re.compile(r"<(/?)([^<>/]*)>|<|>|[^<>]+")
CORRECTION = "||"


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """Lines of `session TAB text TAB intent TAB tagged text`, blank lines between sessions.

    Target: {"intent": name, "slots": [[start, end, slot, value], ...]} in characters. `<song>X||Y</song>`: X was said
    (or recognized), and Y is meant: the slot's value. Without `||` the value is X itself.

    columns may have `dev_percent`, for a data set without a dev file: about this percentage of the sessions is the
    split "dev", the others are "train". Sessions are never divided: their utterances repeat and correct each other.
    """
    percent = _dev_percent(columns)
    for number, line in lines(path, report):
        if not line.strip():
            continue
        location = f"{path}:{number}"
        parts = line.split("\t")
        if len(parts) != 4 or not all(parts):
            raise DataError(f"{location}: expected `session TAB text TAB intent TAB tagged text`, found {line[:60]!r}")
        session, text, intent, tagged = parts
        plain, slots = parse_tagged(tagged, location)
        if plain != text:
            raise DataError(
                f"{location}: without its tags the tagged text is {plain[:40]!r}, the text is {text[:40]!r}"
            )
        if percent and split and (in_dev(session, percent) != (split == "dev")):
            continue
        yield Example((text,), {"intent": intent, "slots": slots}, number)


def in_dev(session: str, percent: float) -> bool:
    """Whether a session belongs to the dev split: decided by a hash, so independent of the run and of the order."""
    return int(hashlib.sha256(session.encode()).hexdigest()[:8], 16) < percent / 100 * 2**32


def parse_tagged(tagged: str, location: str) -> tuple[str, list[list[Any]]]:
    """The text without tags, and its [start, end, slot, value]; DataError, beginning with `where`, for bad tags."""
    text, slots = "", []
    open_slot, inside = "", ""
    for part in PARTS.finditer(tagged):
        slash, name = part.groups()
        if name is None and part[0] in "<>":
            raise DataError(f"{location}: a {part[0]!r} that is no tag, at character {part.start()} of {tagged[:60]!r}")
        if name is None:
            if open_slot:
                inside = part[0]
            else:
                text += part[0]
        elif not slash:
            if not name:
                raise DataError(f"{location}: a tag without a name, <>")
            if open_slot:
                raise DataError(f"{location}: tag <{name}> inside <{open_slot}>: slots cannot be nested")
            open_slot, inside = name, ""
        else:
            if name != open_slot:
                state = f"<{open_slot}> is open" if open_slot else "no tag is open"
                raise DataError(f"{location}: tag </{name}> closes nothing: {state}")
            surface, *values = inside.split(CORRECTION)
            if len(values) > 1 or not surface or not all(values):
                raise DataError(f"{location}: slot <{name}> holds {inside!r}; expected a text, or `said||meant`")
            slots.append([len(text), len(text) + len(surface), name, values[0] if values else surface])
            text += surface
            open_slot = ""
    if open_slot:
        raise DataError(f"{location}: tag <{open_slot}> is not closed")
    return text, slots


def _dev_percent(columns: Mapping[str, str]) -> float:
    raw = columns.get("dev_percent", "0")
    try:
        percent = float(raw)
    except ValueError:
        percent = -1.0
    if not 0 <= percent < 100:
        raise ConfigError(f"data.fields.dev_percent is {raw!r}; expected a number from 0 (all rows) to below 100")
    return percent
