"""Answers as small objects, one class a task kind; a kind without one gives a RawResult.

A further kind is a dataclass here and its entry in CLASSES.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import ServerError
from .spans import AnswersResult, EntitiesResult, Entity, IntentResult, Slot, Span
from .text_result import Raw, TextResult, each, made_by, output

if TYPE_CHECKING:
    import numpy as np  # not at run time: the help of the command line does without


@dataclass(frozen=True)
class Label:
    """A label and its probability, 0..1."""

    label: str
    score: float


@dataclass(frozen=True, repr=False)
class ClassificationResult(TextResult):
    """The best label of a text; `top` holds the best ones with it first."""

    label: str
    score: float
    top: tuple[Label, ...] = field(metadata=each(Label))


@dataclass(frozen=True)
class HierarchyLabel:
    """A label of a tree; level 1 is the top."""

    label: str
    level: int
    score: float


@dataclass(frozen=True, repr=False)
class HierarchyResult(TextResult):
    """All labels of a text, closed under parents, and the paths they make from the top."""

    labels: tuple[HierarchyLabel, ...] = field(metadata=each(HierarchyLabel))
    paths: tuple[tuple[str, ...], ...] = field(metadata=made_by(lambda paths: tuple(tuple(path) for path in paths)))


@dataclass(frozen=True, repr=False)
class SimilarityResult(TextResult):
    """How alike two texts are: the cosine of their embeddings, -1..1."""

    score: float


@dataclass(frozen=True, repr=False)
class EmbeddingResult(TextResult):
    """The vector of a text."""

    vector: np.ndarray = field(repr=False, compare=False, metadata=output("EMBEDDING"))  # float32 [D]


def _masks(masks: list[list[Raw]]) -> tuple[tuple[Label, ...], ...]:
    return tuple(tuple(Label(one["token"], one["score"]) for one in mask) for mask in masks)


def _places(positions: list[list[int]]) -> tuple[tuple[int, int], ...]:
    return tuple((start, end) for start, end in positions)


@dataclass(frozen=True, repr=False)
class MasksResult(TextResult):
    """For each [MASK], in the text's order, the likeliest tokens, best first, and its place in the text."""

    masks: tuple[tuple[Label, ...], ...] = field(metadata=made_by(_masks))
    positions: tuple[tuple[int, int], ...] = field(metadata=made_by(_places))  # (start, end), in characters


@dataclass(frozen=True)
class Candidate:
    """A candidate of a ranking: `index` is its place in the list that was sent."""

    index: int
    text: str
    score: float


@dataclass(frozen=True, repr=False)
class RankingResult(TextResult):
    """The candidates for a query, best first."""

    ranking: tuple[Candidate, ...] = field(metadata=each(Candidate))


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
    "fill_mask": MasksResult,
    "ranking": RankingResult,
}


def numeric_outputs(kind: str) -> tuple[str, ...]:
    """The outputs besides RESULT that `parse_result` needs for this kind."""
    return CLASSES[kind].numeric() if kind in CLASSES else ()


def parse_result(kind: str, raw: Raw, numeric: Mapping[str, np.ndarray] | None = None) -> Result:
    """The RESULT object (and numeric outputs) of a task of this kind; ServerError where a field is missing."""
    if kind not in CLASSES:
        return RawResult(raw)
    try:
        return CLASSES[kind].parse(raw, numeric)
    except (KeyError, TypeError) as error:
        raise ServerError(
            f"the answer does not fit the task kind {kind} ({error!r}): another version's server?"
        ) from None


__all__ = [
    "AnswersResult",
    "Candidate",
    "ClassificationResult",
    "EmbeddingResult",
    "EntitiesResult",
    "Entity",
    "HierarchyLabel",
    "HierarchyResult",
    "IntentResult",
    "Label",
    "MasksResult",
    "RankingResult",
    "Raw",
    "RawResult",
    "Result",
    "SimilarityResult",
    "Slot",
    "Span",
    "TextError",
    "TextResult",
    "numeric_outputs",
    "parse_result",
]
