"""Answers that are pieces of the text: entities, answers to a question, an intent's slots."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

Raw = Mapping[str, Any]
"""The RESULT object of one text, as the server sent it."""


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
class Span:
    """An answer: `text` is `context[start:end]` of the str that was sent; score 0..1."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class AnswersResult:
    """Answers to a question, best first."""

    answers: tuple[Span, ...]
    no_answer_score: float
    tokens: int
    windows: int
    truncated: bool
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Raw) -> AnswersResult:
        """From a RESULT object."""
        answers = tuple(Span(one["text"], one["start"], one["end"], one["score"]) for one in raw["answers"])
        return cls(answers, raw["no_answer_score"], raw["tokens"], raw["windows"], raw["truncated"], raw)


@dataclass(frozen=True)
class Slot:
    """A slot of an utterance: `text` is `sent[start:end]`, `value` its normal form (the text where none is known)."""

    slot: str
    text: str
    value: str
    start: int
    end: int
    score: float


@dataclass(frozen=True)
class IntentResult:
    """What an utterance wants, and with what."""

    intent: str
    score: float
    slots: tuple[Slot, ...]
    tokens: int
    windows: int
    truncated: bool
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Raw) -> IntentResult:
        """From a RESULT object."""
        slots = tuple(
            Slot(one["slot"], one["text"], one["value"], one["start"], one["end"], one["score"]) for one in raw["slots"]
        )
        return cls(raw["intent"], raw["score"], slots, raw["tokens"], raw["windows"], raw["truncated"], raw)
