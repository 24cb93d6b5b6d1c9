"""Texts on their way to the server: checked, encoded, cut into requests, and the server's refusals read."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

Item = str | Sequence[str]
"""A text, or one text an input for the kinds that take several."""
Row = tuple[bytes, ...]
"""UTF-8, one element an input."""

REQUEST_BYTES = 32_000  # of text in a request; keeps its windows below the server's limit

_REASON = re.compile(r"item (\d+): (.*?)(?=; item \d+: |; and \d+ more$|$)", re.DOTALL)
_ENSEMBLE = re.compile(r"^in ensemble '[^']*', ")


def as_items(texts: str | Iterable[Item]) -> list[Item]:
    """One text is a list of one; so is what is no text, which `encode_item` refuses."""
    if isinstance(texts, str | bytes) or not isinstance(texts, Iterable):
        return [texts]
    return list(texts)


def encode_item(item: Item, inputs: Sequence[str]) -> Row | str:
    """The row to send, or the reason why there is none; any object may come in (a column's NaN, say)."""
    parts = (item,) if isinstance(item, str) else item
    if not isinstance(parts, tuple | list) or len(parts) != len(inputs) or not all(isinstance(p, str) for p in parts):
        wanted = "a str" if len(inputs) == 1 else f"a tuple of {len(inputs)} str ({', '.join(inputs)})"
        found = type(item).__name__
        if isinstance(parts, tuple | list) and not isinstance(item, str):
            found += f" of ({', '.join(type(p).__name__ for p in parts)})"
        return f"expected {wanted}, got {found}"
    try:
        return tuple(part.encode("utf-8") for part in parts)
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        # What Python reads as "surrogateescape" was a byte.
        found = f"byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"a lone surrogate (U+{code:04X})"
        return f"not UTF-8: {found} at character {error.start}"


def cut(entries: Iterable[Row | str], rows: int, size: int = REQUEST_BYTES) -> Iterator[list[Row | str]]:
    """Entries in order, in groups of at most `rows` entries and `size` bytes (one row may have more).

    An entry is a row, or the reason (str) why there is none, which goes along with its neighbours. No entry is read
    before the group that ends ahead of it is full.
    """
    group: list[Row | str] = []
    taken = 0
    for entry in entries:
        length = sum(map(len, entry)) if isinstance(entry, tuple) else 0
        if group and taken + length > size:
            yield group
            group, taken = [], 0
        group.append(entry)
        taken += length
        if len(group) == rows:
            yield group
            group, taken = [], 0
    if group:
        yield group


def reason(message: str) -> str:
    """A message about one item without the server's frame: `in ensemble 'T', item 3: why` -> `why`."""
    return re.sub(r"^item \d+: ", "", _ENSEMBLE.sub("", message))


def refusals(message: str, count: int) -> dict[int, str]:
    """Reasons by row, from the message that refused a request of `count` rows whole.

    The server refuses a request when it can answer none of its items, and names the first few; or when the
    request itself is too large, and names none. A request of one row is that row's fault.
    """
    found = {int(row): why for row, why in _REASON.findall(_ENSEMBLE.sub("", message)) if int(row) < count}
    return {0: reason(message)} if count == 1 else found
