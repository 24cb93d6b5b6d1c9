"""What perf_analyzer exported of a request, as the answers to its texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .errors import TargetError
from .expected import Expected, Item

LENGTH = 4
"""Characters between two strings of one output: perf_analyzer 2.50 exports BYTES of several texts as they are sent,
each behind its length in four bytes, but for the first length. A byte that is no UTF-8 was read as one character."""


class Answers:
    """Pairs the outputs of exported requests with the texts that were sent.

    Of a request with several texts perf_analyzer exports the first one's inputs. The others are those that follow it in
    the data, from the beginning again after the last.
    """

    def __init__(self, expected: Expected, texts: int = 1) -> None:
        """texts: of a request."""
        self.expected, self.texts = expected, texts
        self._place: dict[Item, int | None] = {}
        for i, item in enumerate(expected.items):
            self._place[item] = None if item in self._place else i  # one that is there twice says not what follows

    def of(self, request: Mapping[str, Any]) -> Iterator[tuple[Item, Mapping[str, Any]]]:
        """(text, outputs), for as many texts of the request as are known; without outputs where they cannot be read.

        Errors: TargetError where the text was never given.
        """
        inputs, outputs = request.get("request_inputs", {}), request.get("response_outputs", [])
        item = tuple(inputs.get(name) for name in self.expected.inputs)
        if item not in self._place:
            raise TargetError(f"perf_analyzer exported a request that was never given: {str(item)[:120]}")
        given = outputs[0] if len(outputs) == 1 else {}
        if self.texts == 1:
            yield item, given
            return
        parts, place, items = split(given, self.texts), self._place[item], self.expected.items
        for i in range(1 if place is None else self.texts):
            yield item if place is None else items[(place + i) % len(items)], parts[i]


def split(outputs: Mapping[str, Any], texts: int) -> Sequence[Mapping[str, Any]]:
    """The outputs of each text; empty ones where they do not divide among so many."""
    parts: list[dict[str, Any]] = [{} for _ in range(texts)]
    for name, value in outputs.items():
        values = _documents(value) if isinstance(value, str) else value
        if not isinstance(values, list) or not values or len(values) % texts:
            return [{} for _ in range(texts)]
        size = len(values) // texts
        for i, part in enumerate(parts):
            part[name] = values[i] if size == 1 else values[i * size : (i + 1) * size]
    return parts


def _documents(text: str) -> list[str]:
    """RESULT of several texts: JSON documents, each but the first behind its length."""
    found, at, decoder = [], 0, json.JSONDecoder()
    try:
        while at < len(text):
            _, end = decoder.raw_decode(text, at)
            found.append(text[at:end])
            at = end + LENGTH
    except ValueError:
        return []
    return found
