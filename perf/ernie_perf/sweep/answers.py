"""What perf_analyzer exported of a request, taken apart into the answers to its texts, and compared."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..errors import TargetError
from .expected import Expected, Item

AS_SENT = "surrogateescape"
"""How an export is to be read (`errors` of open): perf_analyzer 2.50 writes BYTES of several texts as they are sent,
each behind its length in four bytes, but for the first length. Those need not be UTF-8."""
LENGTH = 4


@dataclass(frozen=True)
class Compared:
    """Of one request: answers compared, and those that are wrong (text, its outputs)."""

    checked: int
    wrong: Sequence[tuple[Item, Mapping[str, Any]]]


class Answers:
    """Compares the outputs of exported requests with what is expected of the texts that were sent.

    Of a request with several texts perf_analyzer exports the first one's inputs. The others are those that follow it in
    the data, from the beginning again after the last. Where a text is there more than once, the place counts at
    which most answers are right.
    """

    def __init__(self, expected: Expected, texts: int = 1) -> None:
        """texts: of a request."""
        self.expected, self.texts = expected, texts
        self._places: dict[Item, list[int]] = {}
        for i, item in enumerate(expected.items):
            self._places.setdefault(item, []).append(i)

    def compare(self, request: Mapping[str, Any]) -> Compared:
        """All of a request's answers. Errors: TargetError where the text was never given."""
        inputs, outputs = request.get("request_inputs", {}), request.get("response_outputs", [])
        item = tuple(inputs.get(name) for name in self.expected.inputs)
        if item not in self._places:
            raise TargetError(f"perf_analyzer exported a request that was never given: {str(item)[:120]}")
        given = outputs[0] if len(outputs) == 1 else {}
        parts = [given] if self.texts == 1 else split(given, self.texts)
        items, places = self.expected.items, self._places[item] if self.texts > 1 else self._places[item][:1]
        found = [self._compare([items[(place + i) % len(items)] for i in range(self.texts)], parts) for place in places]
        return min(found, key=lambda one: len(one.wrong))

    def _compare(self, items: Sequence[Item], parts: Sequence[Mapping[str, Any]]) -> Compared:
        known = [(item, part) for item, part in zip(items, parts, strict=True) if item in self.expected.results]
        return Compared(len(known), [(item, part) for item, part in known if self.expected.wrong(item, part)])


def split(outputs: Mapping[str, Any], texts: int) -> Sequence[Mapping[str, Any]]:
    """The outputs of each text; empty ones where they do not divide among so many."""
    parts: list[dict[str, Any]] = [{} for _ in range(texts)]
    for name, value in outputs.items():
        values = list(_documents(value)) if isinstance(value, str) else value
        if not isinstance(values, list) or not values or len(values) % texts:
            return [{} for _ in range(texts)]
        size = len(values) // texts
        for i, part in enumerate(parts):
            part[name] = values[i] if size == 1 else values[i * size : (i + 1) * size]
    return parts


def _documents(text: str) -> Iterator[str]:
    """RESULT of several texts: JSON documents, each but the first behind its length."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return
    data, at = text.encode("utf-8", AS_SENT), 0
    size = len(text[:end].encode("utf-8", AS_SENT))
    while at + size <= len(data):
        yield data[at : at + size].decode("utf-8", "replace")
        at += size
        if at == len(data):
            return
        size = int.from_bytes(data[at : at + LENGTH], "little")
        at += LENGTH
