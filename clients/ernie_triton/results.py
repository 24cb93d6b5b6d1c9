"""Answers as small objects, one class a task kind; a kind without one gives a RawResult.

A further kind is a dataclass here and its entry in PARSERS.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .errors import ServerError
from .spans import AnswersResult, EntitiesResult, Entity, IntentResult, Raw, Slot, Span

if TYPE_CHECKING:
    import numpy as np  # not at run time: the help of the command line does without


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
class HierarchyLabel:
    """A label of a tree; level 1 is the top."""

    label: str
    level: int
    score: float


@dataclass(frozen=True)
class HierarchyResult:
    """All labels of a text, closed under parents, and the paths they make from the top."""

    labels: tuple[HierarchyLabel, ...]
    paths: tuple[tuple[str, ...], ...]
    tokens: int
    windows: int
    truncated: bool
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Raw) -> HierarchyResult:
        """From a RESULT object."""
        labels = tuple(HierarchyLabel(one["label"], one["level"], one["score"]) for one in raw["labels"])
        paths = tuple(tuple(path) for path in raw["paths"])
        return cls(labels, paths, raw["tokens"], raw["windows"], raw["truncated"], raw)


@dataclass(frozen=True)
class SimilarityResult:
    """How alike two texts are: the cosine of their embeddings, -1..1."""

    score: float
    tokens: int
    windows: int
    truncated: bool
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Raw) -> SimilarityResult:
        """From a RESULT object."""
        return cls(raw["score"], raw["tokens"], raw["windows"], raw["truncated"], raw)


@dataclass(frozen=True)
class EmbeddingResult:
    """The vector of a text."""

    vector: np.ndarray = field(repr=False, compare=False)  # float32 [D]
    tokens: int
    windows: int
    truncated: bool
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Raw, numeric: Mapping[str, np.ndarray]) -> EmbeddingResult:
        """From a RESULT object and EMBEDDING."""
        return cls(numeric["EMBEDDING"], raw["tokens"], raw["windows"], raw["truncated"], raw)


@dataclass(frozen=True)
class MasksResult:
    """For each [MASK], in the text's order, the likeliest tokens, best first."""

    masks: tuple[tuple[Label, ...], ...]
    tokens: int
    windows: int
    truncated: bool
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Raw) -> MasksResult:
        """From a RESULT object."""
        masks = tuple(tuple(Label(one["token"], one["score"]) for one in mask) for mask in raw["masks"])
        return cls(masks, raw["tokens"], raw["windows"], raw["truncated"], raw)


@dataclass(frozen=True)
class Candidate:
    """A candidate of a ranking: `index` is its place in the list that was sent."""

    index: int
    text: str
    score: float


@dataclass(frozen=True)
class RankingResult:
    """The candidates for a query, best first."""

    ranking: tuple[Candidate, ...]
    tokens: int
    windows: int
    truncated: bool
    raw: Raw = field(default_factory=dict, repr=False, compare=False)

    @classmethod
    def parse(cls, raw: Raw) -> RankingResult:
        """From a RESULT object."""
        ranking = tuple(Candidate(one["index"], one["text"], one["score"]) for one in raw["ranking"])
        return cls(ranking, raw["tokens"], raw["windows"], raw["truncated"], raw)


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


Result = (
    ClassificationResult
    | EntitiesResult
    | AnswersResult
    | IntentResult
    | HierarchyResult
    | SimilarityResult
    | EmbeddingResult
    | MasksResult
    | RankingResult
    | RawResult
)

PARSERS: dict[str, Callable[[Raw], Result]] = {
    "sequence_classification": ClassificationResult.parse,
    "pair_classification": ClassificationResult.parse,
    "token_classification": EntitiesResult.parse,
    "question_answering": AnswersResult.parse,
    "intent_slots": IntentResult.parse,
    "hierarchical_classification": HierarchyResult.parse,
    "similarity": SimilarityResult.parse,
    "fill_mask": MasksResult.parse,
    "ranking": RankingResult.parse,
}


NUMERIC: dict[str, tuple[str, ...]] = {"embedding": ("EMBEDDING",)}
"""The numeric outputs that a kind's class is made of, besides RESULT."""


def parse_result(kind: str, raw: Raw, numeric: Mapping[str, np.ndarray] | None = None) -> Result:
    """The RESULT object (and numeric outputs) of a task of this kind; ServerError where a field is missing."""
    try:
        if kind in NUMERIC:
            return EmbeddingResult.parse(raw, numeric or {})
        return PARSERS.get(kind, RawResult)(raw)
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
    "parse_result",
]
