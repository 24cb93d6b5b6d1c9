"""Texts as a request carries them: checked, encoded, grouped into requests, and the server's refusals read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from ernie_runtime.names import CANDIDATES

Item = str | Sequence[str | Sequence[str]] | Mapping[str, str | Sequence[str]]
"""A text; for kinds with several inputs a tuple of one part per input, or a dict of them as in the JSON lines.

A part is a text, or for candidates to rank a list of texts: `("还款", ["怎么还款", "怎么借款"])`,
`{"query": "还款", "candidates": ["怎么还款", "怎么借款"]}`.
"""
Row = tuple[bytes, ...]
"""An item in UTF-8, one element per input."""

REQUEST_BYTES = 32_000  # of text in a request; keeps its windows below the server's limit
LISTS = (CANDIDATES,)
"""Inputs whose BYTES element is a JSON list of strings."""

_ITEM_REASON = re.compile(r"item (\d+): (.*?)(?=; item \d+: |; and \d+ more$|$)", re.DOTALL)
_ENSEMBLE = re.compile(r"^in ensemble '[^']*', ")


def as_items(texts: Item | Iterable[Item], inputs: Sequence[str] = ()) -> list[Item]:
    """One text or dict becomes a list of one; so does anything that is no text, which `encode_item` refuses.

    inputs: the task's. Where it has several, a tuple that begins with a text is one item too, as a text cannot be.
    """
    if isinstance(texts, str | bytes | Mapping) or not isinstance(texts, Iterable):
        return [texts]
    if len(inputs) > 1 and isinstance(texts, tuple) and texts and isinstance(texts[0], str):
        return [texts]
    return list(texts)


def encode_item(item: Item, inputs: Sequence[str]) -> Row | str:
    """The row to send, or the reason why there is none; `item` may be any object (NaN from a column, say)."""
    parts = item_parts(item, inputs)
    if isinstance(parts, str):
        return parts
    try:
        return tuple(part.encode("utf-8") for part in parts)
    except UnicodeEncodeError as error:
        code = ord(error.object[error.start])
        # Python's "surrogateescape" reads a byte that is not UTF-8 as one of these surrogates.
        culprit = f"byte 0x{code - 0xDC00:02X}" if 0xDC80 <= code <= 0xDCFF else f"a lone surrogate (U+{code:04X})"
        return f"not UTF-8: {culprit} at character {error.start}"


def item_parts(item: Item, inputs: Sequence[str]) -> tuple[str, ...] | str:
    """One text per input, a list of candidates as JSON; or the reason why the item has none."""
    if isinstance(item, Mapping):
        given = {key.upper() if isinstance(key, str) else key: part for key, part in item.items()}
        missing = [name.lower() for name in inputs if name not in given]
        unknown = [str(key) for key in item if not isinstance(key, str) or key.upper() not in inputs]
        if missing or unknown:
            wrong = f"no {', '.join(missing)}" if missing else f"unknown {', '.join(unknown)}"
            return f"expected a dict with {_names(inputs)}, got one with {wrong}"
        item = tuple(given[name] for name in inputs)
    parts: Sequence[object] = (item,) if isinstance(item, str) else item
    if isinstance(parts, tuple | list) and len(parts) == len(inputs):
        texts = [_text(part, name) for part, name in zip(parts, inputs, strict=True)]
        if all(text is not None for text in texts):
            return tuple(text for text in texts if text is not None)
    return f"expected {_expected(inputs)}, got {_actual(item)}"


def _text(part: object, name: str) -> str | None:
    if isinstance(part, str):
        return part
    if name in LISTS and isinstance(part, tuple | list) and all(isinstance(element, str) for element in part):
        return json.dumps(part, ensure_ascii=False)
    return None


def _expected(inputs: Sequence[str]) -> str:
    if len(inputs) == 1:
        return "a str"
    if LISTS[0] in inputs:
        return f"a tuple of {len(inputs)} ({', '.join(inputs)}), a str and a list of str"
    return f"a tuple of {len(inputs)} str ({', '.join(inputs)})"


def _actual(item: object) -> str:
    name = type(item).__name__
    return f"{name} of ({', '.join(type(part).__name__ for part in item)})" if isinstance(item, tuple | list) else name


def _names(inputs: Sequence[str]) -> str:
    return ", ".join(name.lower() for name in inputs)


class Grouper:
    """Puts entries, in order, into groups of at most `rows` entries and `size` bytes; a larger row is alone.

    An entry is a row, or the reason (str) why there is none, which stays with its neighbours.
    """

    def __init__(self, rows: int, size: int = REQUEST_BYTES) -> None:
        self._rows, self._size = rows, size
        self._group: list[Row | str] = []
        self._bytes = 0

    def add(self, entry: Row | str) -> Iterator[list[Row | str]]:
        """The groups that this entry completes: that before it, its own, both or none."""
        length = sum(map(len, entry)) if isinstance(entry, tuple) else 0
        if self._group and self._bytes + length > self._size:
            yield from self.rest()
        self._group.append(entry)
        self._bytes += length
        if len(self._group) == self._rows:
            yield from self.rest()

    def rest(self) -> Iterator[list[Row | str]]:
        """The group that is not complete, unless it is empty."""
        if self._group:
            yield self._group
        self._group, self._bytes = [], 0


def group_rows(entries: Iterable[Row | str], rows: int, size: int = REQUEST_BYTES) -> Iterator[list[Row | str]]:
    """The groups of `Grouper`; no entry is read before the group ahead of it is complete."""
    grouper = Grouper(rows, size)
    for entry in entries:
        yield from grouper.add(entry)
    yield from grouper.rest()


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
