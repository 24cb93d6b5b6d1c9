"""Positions in a text in UTF-16 units, which are what JavaScript and Java count: two for a character above U+FFFF."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..json_types import Json
from ..names import CHARACTERS, UTF16

UNITS = (CHARACTERS, UTF16)
"""Values of the request's parameter `offsets`."""
PAIRS = ("offsets", "positions")
"""Keys of RESULT whose value is a list of [start, end]."""


def utf16_positions(text: str) -> np.ndarray:
    """The position of each boundary between characters, int64 [len(text) + 1]."""
    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), np.uint32)
    positions = np.zeros(len(codes) + 1, np.int64)
    np.cumsum(1 + (codes > 0xFFFF), out=positions[1:])
    return positions


def in_utf16(result: Json, text: str) -> Json:
    """A RESULT with its positions in UTF-16 units, which `unit` says; text: the one that they are in."""
    positions = utf16_positions(text).tolist()

    def pair(bounds: Any) -> list[int]:
        start, end = bounds
        return [positions[start], positions[end]]

    def span(value: Any) -> Any:
        if not (isinstance(value, dict) and "start" in value and "end" in value):
            return value
        start, end = pair((value["start"], value["end"]))
        return {**value, "start": start, "end": end}

    converted = {
        key: list(map(pair if key in PAIRS else span, value)) if isinstance(value, list) else value
        for key, value in result.items()
    }
    return {**converted, "unit": UTF16}
