"""Answers as typed objects, a class for each task kind; kinds without a class give a RawResult.

The fields are those of `ernie_runtime.results`. To add a kind, add a dataclass here and its entry in CLASSES.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from ernie_runtime.names import EMBEDDING, EMBEDDINGS
from ernie_runtime.results import INVALID_ARG

from .errors import ServerError
from .notebook import error_html, list_html, result_html
from .text_result import Answer, Raw, TextResult, each, made_by, output

if TYPE_CHECKING:
    import numpy as np  # not at run time: importing this package needs no numpy

_Answer = TypeVar("_Answer", bound=Answer)


@dataclass(frozen=True)
class Label:
    """A label and its probability, 0..1."""

    label: str
    score: float


@dataclass(frozen=True, repr=False)
class ClassificationResult(TextResult):
    """The best label of a text; `top` holds the best labels, this one first."""

    label: str
    score: float
    top: tuple[Label, ...] = field(metadata=each(Label))


@dataclass(frozen=True)
class Entity:
    """A span of the text: `text` is `sent[start:end]` of the str that was sent; score 0..1."""

    label: str
    text: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, repr=False)
class EntitiesResult(TextResult):
    """The entities of a text, in the order of the text."""

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
    """The intent of an utterance, and its slots."""

    intent: str
    score: float
    slots: tuple[Slot, ...] = field(metadata=each(Slot))


@dataclass(frozen=True)
class HierarchyLabel:
    """A label of a tree; level 1 is the top."""

    label: str
    level: int
    score: float


@dataclass(frozen=True, repr=False)
class HierarchyResult(TextResult):
    """The labels of a text, each with all its parents, and the paths from the top that they make."""

    labels: tuple[HierarchyLabel, ...] = field(metadata=each(HierarchyLabel))
    paths: tuple[tuple[str, ...], ...] = field(metadata=made_by(lambda paths: tuple(tuple(path) for path in paths)))


@dataclass(frozen=True, repr=False)
class SimilarityResult(TextResult):
    """The similarity of two texts: the cosine of their embeddings, -1..1."""

    score: float


@dataclass(frozen=True, repr=False)
class EmbeddingResult(TextResult):
    """The embedding of a text."""

    vector: np.ndarray = field(repr=False, compare=False, metadata=output(EMBEDDING))  # float32 [D]


@dataclass(frozen=True, repr=False)
class TokenEmbeddingsResult(TextResult):
    """The embeddings of a text's tokens, and where in the text they are."""

    offsets: tuple[tuple[int, int], ...] = field(metadata=made_by(lambda offsets: tuple(map(tuple, offsets))))
    vectors: np.ndarray = field(repr=False, compare=False, metadata=output(EMBEDDINGS))  # float32 [tokens, D]


def _masks(masks: list[list[Raw]]) -> tuple[tuple[Label, ...], ...]:
    return tuple(tuple(Label(token["token"], token["score"]) for token in mask) for mask in masks)


def _offsets(positions: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((start, end) for start, end in positions)


@dataclass(frozen=True, repr=False)
class MasksResult(TextResult):
    """For each [MASK], in the order of the text, its likeliest tokens, best first, and its position in the text."""

    masks: tuple[tuple[Label, ...], ...] = field(metadata=made_by(_masks))
    positions: tuple[tuple[int, int], ...] = field(metadata=made_by(_offsets))  # (start, end), in characters


@dataclass(frozen=True)
class Candidate:
    """A candidate of a ranking: `index` is its position in the list that was sent; score 0..1."""

    index: int
    text: str
    score: float


@dataclass(frozen=True, repr=False)
class RankingResult(TextResult):
    """The candidates for a query, best first."""

    ranking: tuple[Candidate, ...] = field(metadata=each(Candidate))


@dataclass(frozen=True)
class RawResult(Answer):
    """The RESULT object of a task kind that this client has no class for."""

    raw: Raw

    def to_dict(self) -> dict[str, Any]:
        """RESULT as the server sent it."""
        return dict(self.raw)

    def _repr_html_(self) -> str:
        return result_html(self.raw)


@dataclass(frozen=True)
class TextError(Answer):
    """Takes the place of an answer: the text at index `item` of the caller's list cannot be answered."""

    item: int
    reason: str

    @property
    def raw(self) -> Raw:
        """The same as a RESULT object."""
        return {"error": {"code": INVALID_ARG, "message": self.reason}}

    def to_dict(self) -> dict[str, Any]:
        """The same as a RESULT object."""
        return dict(self.raw)

    def _repr_html_(self) -> str:
        return error_html(f"item {self.item}: {self.reason}")


class Results(list[_Answer]):
    """Answers in the order of their texts: a list, which notebooks show as HTML."""

    def to_json(self) -> str:
        """The answers as JSON, one per line."""
        return "".join(f"{answer.to_json()}\n" for answer in self)

    def _repr_html_(self) -> str:
        return list_html((answer._repr_html_() for answer in self), len(self))


Result = TextResult | RawResult

CLASSES: dict[str, type[TextResult]] = {
    "sequence_classification": ClassificationResult,
    "pair_classification": ClassificationResult,
    "token_classification": EntitiesResult,
    "question_answering": AnswersResult,
    "intent_slots": IntentResult,
    "hierarchical_classification": HierarchyResult,
    "similarity": SimilarityResult,
    "embedding": EmbeddingResult,
    "pair_embedding": EmbeddingResult,
    "token_embedding": TokenEmbeddingsResult,
    "fill_mask": MasksResult,
    "ranking": RankingResult,
}


def numeric_outputs(kind: str) -> tuple[str, ...]:
    """The outputs besides RESULT that `parse_result` needs for a task kind."""
    return CLASSES[kind].numeric() if kind in CLASSES else ()


def parse_result(
    kind: str, raw: Raw, numeric: Mapping[str, np.ndarray] | None = None, sent: tuple[str, ...] = ()
) -> Result:
    """The typed answer from a RESULT object and numeric outputs; ServerError where a field is missing.

    sent: the texts that it answers, one per input.
    """
    if kind not in CLASSES:
        return RawResult(raw)
    try:
        return CLASSES[kind].parse(raw, numeric, sent)
    except (KeyError, TypeError) as error:
        raise ServerError(
            f"the answer does not fit the task kind {kind} ({error!r}): another version's server?"
        ) from None
