"""Answers that are pieces of the text: entities, answers to a question, an intent's slots."""

from __future__ import annotations

from dataclasses import dataclass, field

from .text_result import TextResult, each


@dataclass(frozen=True)
class Entity:
    """A piece of the text: `text` is `sent[start:end]` of the str that was sent; score 0..1."""

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, repr=False)
class EntitiesResult(TextResult):
    """The entities of a text, in its order."""

    entities: tuple[Entity, ...] = field(metadata=each(Entity))


@dataclass(frozen=True)
class Span:
    """An answer: `text` is `context[start:end]` of the str that was sent; score 0..1."""

    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, repr=False)
class AnswersResult(TextResult):
    """Answers to a question, best first."""

    answers: tuple[Span, ...] = field(metadata=each(Span))
    no_answer_score: float


@dataclass(frozen=True)
class Slot:
    """A slot of an utterance: `text` is `sent[start:end]`, `value` its normal form (the text where none is known)."""

    slot: str
    text: str
    value: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, repr=False)
class IntentResult(TextResult):
    """What an utterance wants, and with what."""

    intent: str
    score: float
    slots: tuple[Slot, ...] = field(metadata=each(Slot))
