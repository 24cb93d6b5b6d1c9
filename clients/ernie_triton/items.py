"""Texts as a request carries them: checked, encoded, grouped into requests, and the server's refusals read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

Item = str | Sequence[str]
"""A text, or one text per input for kinds with several inputs."""
Row = tuple[bytes, ...]
"""An item in UTF-8, one element per input."""

REQUEST_BYTES = 32_000  # of text in a request; keeps its windows below the server's limit

_ITEM_REASON = re.compile(r"item (\d+): (.*?)(?=; item \d+: |; and \d+ more$|$)", re.DOTALL)
_ENSEMBLE = re.compile(r"^in ensemble '[^']*', ")


def as_items(texts: str | Iterable[Item]) -> list[Item]:
    """One text becomes a list of one; so does anything that is no text, which `encode_item` refuses."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        return [texts]
    return list(texts)


def encode_item(item: Item, inputs: Sequence[str]) -> Row | str:
    """The row to send, or the reason why there is none; `item` may be any object (NaN from a column, say)."""
    parts = (item,) if isinstance(item, str) else item
    if not isinstance(parts, tuple | list) or len(parts) != len(inputs) or not all(isinstance(p, str) for p in parts):
        expected = "a str" if len(inputs) == 1 else f"a tuple of {len(inputs)} str ({', '.join(inputs)})"
        actual = type(item).__name__
        if isinstance(parts, tuple | list) and not isinstance(item, str):
            actual += f" of ({', '.join(type(p).__name__ for p in parts)})"
        return f"expected {expected}, got {actual}"
    try:
        return tuple(part.encode("utf-8") for part in parts)
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        # Python's "surrogateescape" reads a byte that is not UTF-8 as one of these surrogates.
        culprit = f"byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"a lone surrogate (U+{code:04X})"
        return f"not UTF-8: {culprit} at character {error.start}"


def group_rows(entries: Iterable[Row | str], rows: int, size: int = REQUEST_BYTES) -> Iterator[list[Row | str]]:
    """Entries in order, in groups of at most `rows` entries and `size` bytes; a larger row is a group of its own.

    An entry is a row, or the reason (str) why there is none, which stays with its neighbours. No entry is read before
    the group ahead of it is complete.
    """
    group: list[Row | str] = []
    group_bytes = 0
    for entry in entries:
        length = sum(map(len, entry)) if isinstance(entry, tuple) else 0
        if group and group_bytes + length > size:
            yield group
            group, group_bytes = [], 0
        group.append(entry)
        group_bytes += length
        if len(group) == rows:
            yield group
            group, group_bytes = [], 0
    if group:
        yield group


def item_reason(message: str) -> str:
    """A message about one item without the server's prefix: `in ensemble 'T', item 3: why` -> `why`."""
    return re.sub(r"^item \d+: ", "", _ENSEMBLE.sub("", message))


def refused_rows(message: str, count: int) -> dict[int, str]:
    """Reasons by row, from the message that refused a whole request of `count` rows.

    The server refuses a request when it can answer none of its items, and names the first few; or when the
    request itself is too large, and names none. In a request of one row, that row is to blame.
    """
    if count == 1:
        return {0: item_reason(message)}
    return {int(row): reason for row, reason in _ITEM_REASON.findall(_ENSEMBLE.sub("", message)) if int(row) < count}
