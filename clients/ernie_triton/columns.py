"""Text and tables for a terminal, where Chinese characters take two columns."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Sequence


def visible(text: str) -> str:
    """The text on one line and safe for a terminal: control characters become escapes such as \\n."""
    return "".join(
        c.encode("unicode_escape").decode() if unicodedata.category(c) in ("Cc", "Cs", "Zl", "Zp") else c for c in text
    )


def width(text: str) -> int:
    """Columns that the text takes on a terminal."""
    return sum(
        0 if unicodedata.category(c) in ("Mn", "Me", "Cf") else 1 + (unicodedata.east_asian_width(c) in ("W", "F"))
        for c in text
    )


def pad(text: str, columns: int) -> str:
    """The text, filled up with spaces to this many columns."""
    return text + " " * (columns - width(text))


def table(rows: Iterable[Sequence[str]], indent: str = "") -> list[str]:
    """Lines with aligned columns, each after `indent`."""
    rows = list(rows)
    columns = [max(map(width, column)) for column in zip(*rows, strict=True)]
    return [(indent + "  ".join(pad(cell, w) for cell, w in zip(row, columns, strict=True))).rstrip() for row in rows]


def clip(text: str, columns: int) -> str:
    """The text, cut and ended with `…` where it takes more columns."""
    if width(text) <= columns:
        return text
    length, used = 0, 1
    while used + width(text[length]) <= columns:
        used += width(text[length])
        length += 1
    return text[:length] + "…"
