"""Answers as small objects, one class a task kind; a kind without one gives a RawResult.

A further kind is a dataclass here and its entry in PARSERS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from .errors import ServerError

Raw = Mapping[str, Any]
"""The RESULT object of one text, as the server sent it."""


@dataclass(frozen=True)
class Label:
    """A label and its probability, 0..1."""

    label: str
    score: float


@dataclass(frozen=True)
class ClassificationResult:
    """The best label of a text; `top` holds the best ones with it first."""

    label: str
    score: float
    top: tuple[Label, ...]
    tokens: int  # of the text, without special tokens
    windows: int  # pieces that the text was read in
    truncated: bool  # whether its end was not read
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Raw) -> ClassificationResult:
        """From a RESULT object."""
        top = tuple(Label(one["label"], one["score"]) for one in raw["top"])
        return cls(raw["label"], raw["score"], top, raw["tokens"], raw["windows"], raw["truncated"], raw)


@dataclass(frozen=True)
class Entity:
    """A piece of the text: `text` is `sent[start:end]` of the str that was sent; score 0..1."""

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class EntitiesResult:
    """The entities of a text, in its order."""

    entities: tuple[Entity, ...]
    tokens: int  # of the text, without special tokens
    windows: int  # pieces that the text was read in
    truncated: bool  # whether its end was not read
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Raw) -> EntitiesResult:
        """From a RESULT object."""
        entities = tuple(
            Entity(one["label"], one["text"], one["start"], one["end"], one["score"]) for one in raw["entities"]
        )
        return cls(entities, raw["tokens"], raw["windows"], raw["truncated"], raw)


@dataclass(frozen=True)
class RawResult:
    """The answer of a kind that this client has no class for."""

    raw: Raw


@dataclass(frozen=True)
class TextError:
    """In an answer's place: the text at index `item` of the caller's list cannot be answered."""

    item: int
    reason: str

    @property
    def raw(self) -> Raw:
        """The same as a RESULT object."""
        return {"error": {"code": "INVALID_ARG", "message": self.reason}}


Result = ClassificationResult | EntitiesResult | RawResult

PARSERS: dict[str, Callable[[Raw], Result]] = {
    "sequence_classification": ClassificationResult.parse,
    "token_classification": EntitiesResult.parse,
}


def parse_result(kind: str, raw: Raw) -> Result:
    """The RESULT object of a task of this kind; ServerError where a field is missing."""
    try:
        return PARSERS.get(kind, RawResult)(raw)
    except (KeyError, TypeError) as error:
        raise ServerError(
            f"the answer does not fit the task kind {kind} ({error!r}): another version's server?"
        ) from None
