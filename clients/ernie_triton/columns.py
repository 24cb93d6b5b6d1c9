"""Text and tables for a terminal; Chinese characters count as two columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence


def visible(text: str) -> str:
    """The text on one line and harmless to a terminal: control characters become escapes such as \\n."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text
    )


def width(text: str) -> int:
    """Columns that a terminal needs."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(c) in ("W", "F"))
        for c in text
    )


def pad(text: str, columns: int) -> str:
    """The text and spaces behind it up to this many columns."""
    return text + " " * (columns - width(text))


def table(rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Lines with aligned columns."""
    rows = list(rows)
    columns = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [(indent + "  ".join(pad(cell, w) for cell, w in zip(row, columns, strict=True))).rstrip() for row in rows]


def clip(text: str, columns: int) -> str:
    """The text, its end replaced by `…` where it needs more columns."""
    if width(text) <= columns:
        return text
    kept, taken = 0, 1
    while taken + width(text[kept]) <= columns:
        taken += width(text[kept])
        kept += 1
    return text[:kept] + "…"
