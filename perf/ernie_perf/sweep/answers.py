"""perf_analyzer's export of a request, split into the answers to its texts, and compared with the expected ones."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ernie_runtime.json_types import Json, JsonObject

from ..errors import TargetError
from .expected import ExpectedAnswers, Outputs
from .texts import Item

EXPORT_ERRORS = "surrogateescape"
"""How undecodable bytes of an export are read (`errors` of open): perf_analyzer 2.50 writes BYTES of several texts as
they came over the wire, each behind its length in four bytes except the first. Those bytes need not be UTF-8."""
LENGTH_BYTES = 4


@dataclass(frozen=True, kw_only=True)
class CheckedRequest:
    """One request: how many answers were compared, and the wrong ones as (text, its outputs)."""

    checked: int
    wrong: Sequence[tuple[Item, Outputs]]


class AnswerChecker:
    """Compares the outputs of exported requests with the answers expected for the texts that were sent.

    perf_analyzer exports only the first text of a request's inputs. The others are those that follow it in the data,
    starting over after the last. Where the first text occurs more than once in the data, the occurrence counts at which
    most answers are right.
    """

    def __init__(self, expected: ExpectedAnswers, texts: int = 1) -> None:
        """texts: in each request."""
        self.expected, self.texts = expected, texts
        self._positions: dict[Item, list[int]] = {}
        for i, item in enumerate(expected.items):
            self._positions.setdefault(item, []).append(i)

    def check(self, request: Json) -> CheckedRequest:
        """Compare all of a request's answers. Errors: TargetError where the text is not in the data."""
        inputs, responses = request.get("request_inputs", {}), request.get("response_outputs", [])
        first = tuple(inputs.get(name) for name in self.expected.inputs)
        if first not in self._positions:
            raise TargetError(f"perf_analyzer exported a request that was never given: {str(first)[:120]}")
        outputs = responses[0] if len(responses) == 1 else {}
        answers = [outputs] if self.texts == 1 else split_outputs(outputs, self.texts)
        items = self.expected.items
        positions = self._positions[first] if self.texts > 1 else self._positions[first][:1]
        attempts = [
            self._check([items[(position + i) % len(items)] for i in range(self.texts)], answers)
            for position in positions
        ]
        return min(attempts, key=lambda attempt: len(attempt.wrong))

    def _check(self, items: Sequence[Item], answers: Sequence[Outputs]) -> CheckedRequest:
        pairs = [(item, outputs) for item, outputs in zip(items, answers, strict=True) if item in self.expected.results]
        wrong = [(item, outputs) for item, outputs in pairs if self.expected.is_wrong(item, outputs)]
        return CheckedRequest(checked=len(pairs), wrong=wrong)


def split_outputs(outputs: Outputs, texts: int) -> Sequence[Outputs]:
    """The outputs of each text; empty ones where they cannot be divided among so many texts."""
    parts: list[JsonObject] = [{} for _ in range(texts)]
    for name, value in outputs.items():
        values = list(_json_documents(value)) if isinstance(value, str) else value
        if not isinstance(values, list) or not values or len(values) % texts:
            return [{} for _ in range(texts)]
        size = len(values) // texts
        for i, part in enumerate(parts):
            part[name] = values[i] if size == 1 else values[i * size : (i + 1) * size]
    return parts


def _json_documents(text: str) -> Iterator[str]:
    """RESULT of several texts: JSON documents, each but the first behind its length."""
    try:
        _, end = json.JSONDecoder().raw_decode(text)
    except ValueError:
        return
    data, start = text.encode("utf-8", EXPORT_ERRORS), 0
    size = len(text[:end].encode("utf-8", EXPORT_ERRORS))
    while start + size <= len(data):
        yield data[start : start + size].decode("utf-8", "replace")
        start += size
        if start == len(data):
            return
        size = int.from_bytes(data[start : start + LENGTH_BYTES], "little")
        start += LENGTH_BYTES
