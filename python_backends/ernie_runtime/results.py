"""The shape of RESULT, one JSON object a text, for each task kind: kinds fill it, clients read it.

Standard library only. Scores are probabilities from 0 to 1 unless said otherwise; `start` and `end` are character
offsets into the text as sent, in Python's slicing; in UTF-16 units where the request has `offsets` = `utf16`, and then
RESULT has `unit`, `utf16`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

INVALID_ARG = "INVALID_ARG"


class Fault(TypedDict):
    """Why a text has no answer."""

    code: str  # INVALID_ARG
    message: str  # `item 3: the text is empty`, by the text's index in the request


class ErrorResult(TypedDict):
    """RESULT of a text that cannot be answered, beside others of its request that can."""

    error: Fault


class Reading(TypedDict):
    """How a text was read; every RESULT of an answer has these fields too."""

    tokens: int  # of the text, without special tokens
    windows: int  # pieces that the text was read in
    truncated: bool  # whether its end was not read


class ScoredLabel(TypedDict):
    """A label of the task."""

    label: str
    score: float


class LabelResult(TypedDict):
    """Sequence and pair classification: the best label, and the best ones with it first."""

    label: str
    score: float
    top: list[ScoredLabel]


class EntitySpan(TypedDict):
    """An entity, `text` is `sent[start:end]`."""

    label: str
    text: str
    start: int
    end: int
    score: float


class EntitiesResult(TypedDict):
    """Token classification: the entities in the text's order."""

    entities: list[EntitySpan]


class AnswerSpan(TypedDict):
    """An answer to a question, `text` is `context[start:end]`."""

    text: str
    start: int
    end: int
    score: float


class AnswersResult(TypedDict):
    """Question answering: answers, best first; they and `no_answer_score` share a probability of 1."""

    answers: list[AnswerSpan]
    no_answer_score: float


class SlotSpan(TypedDict):
    """A slot of an utterance; `value` is its normal form, the text where none is known."""

    slot: str
    text: str
    value: str
    start: int
    end: int
    score: float


class IntentResult(TypedDict):
    """Intent and slots: the slots in the text's order."""

    intent: str
    score: float
    slots: list[SlotSpan]


class TreeLabel(TypedDict):
    """A label of a tree, `parent##child`; level 1 is the top."""

    label: str
    level: int
    score: float


class HierarchyResult(TypedDict):
    """Hierarchical classification: labels closed under parents, and the paths they make from the top."""

    labels: list[TreeLabel]
    paths: list[list[str]]


class SimilarityResult(TypedDict):
    """Similarity: the cosine of two texts' embeddings, -1 to 1."""

    score: float


class EmbeddingResult(TypedDict):
    """Embedding: the length of the vector, which is the numeric output EMBEDDING."""

    dimension: int


class TokenEmbeddingResult(TypedDict):
    """Token embedding: the tokens' [start, end], one for each row of the numeric output EMBEDDINGS; its row length.

    EMBEDDINGS has further rows of 0 where another text of the request has more tokens.
    """

    offsets: list[list[int]]
    dimension: int


class ScoredToken(TypedDict):
    """A token for a [MASK]."""

    token: str
    score: float


class MasksResult(TypedDict):
    """Fill-mask: for each [MASK] in the text's order its likeliest tokens, best first, and its [start, end]."""

    masks: list[list[ScoredToken]]
    positions: list[list[int]]


class RankedCandidate(TypedDict):
    """A candidate; `index` is its place in the list that was sent."""

    index: int
    text: str
    score: float


class RankingResult(TypedDict):
    """Ranking: the candidates for a query, best first."""

    ranking: list[RankedCandidate]


RESULTS: Mapping[str, type] = {
    "sequence_classification": LabelResult,
    "pair_classification": LabelResult,
    "token_classification": EntitiesResult,
    "question_answering": AnswersResult,
    "intent_slots": IntentResult,
    "hierarchical_classification": HierarchyResult,
    "similarity": SimilarityResult,
    "embedding": EmbeddingResult,
    "pair_embedding": EmbeddingResult,
    "token_embedding": TokenEmbeddingResult,
    "fill_mask": MasksResult,
    "ranking": RankingResult,
}
"""By kind."""


def same_answer(ours: object, theirs: object, tolerance: float) -> bool:
    """Whether two RESULTs (or messages of refusals) say the same; scores may differ by `tolerance`.

    `top` is not compared: candidates of equal scores may stand in either order.
    """
    return alike(_compared(ours), _compared(theirs), tolerance)


def alike(ours: object, theirs: object, tolerance: float) -> bool:
    """Whether two JSON values are the same; floats may differ by `tolerance`."""
    if isinstance(ours, Mapping) and isinstance(theirs, Mapping):
        return ours.keys() == theirs.keys() and all(alike(ours[k], theirs[k], tolerance) for k in ours)
    if isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        return len(ours) == len(theirs) and all(alike(a, b, tolerance) for a, b in zip(ours, theirs, strict=True))
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        return bool(ours == theirs) or (isinstance(ours, float) and abs(ours - theirs) <= tolerance)
    return bool(ours == theirs)


def _compared(result: object) -> object:
    if not isinstance(result, Mapping) or "error" in result:
        return "refused"
    return {name: value for name, value in result.items() if name != "top"}
