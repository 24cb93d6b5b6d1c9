"""Client of the tasks that ernie-triton publishes: `Client().predict("tnews", texts)`."""

from .client import Client
from .errors import ErnieTritonError, InvalidText, ServerError, ServerUnavailable, UnknownTask
from .replies import Reply
from .results import (
    Candidate,
    ClassificationResult,
    EmbeddingResult,
    HierarchyLabel,
    HierarchyResult,
    Label,
    MasksResult,
    RankingResult,
    RawResult,
    Result,
    SimilarityResult,
    TextError,
)
from .spans import AnswersResult, EntitiesResult, Entity, IntentResult, Slot, Span
from .tasks import Task

__all__ = [
    "AnswersResult",
    "Candidate",
    "ClassificationResult",
    "Client",
    "EmbeddingResult",
    "EntitiesResult",
    "Entity",
    "ErnieTritonError",
    "HierarchyLabel",
    "HierarchyResult",
    "IntentResult",
    "InvalidText",
    "Label",
    "MasksResult",
    "RankingResult",
    "RawResult",
    "Reply",
    "Result",
    "ServerError",
    "ServerUnavailable",
    "SimilarityResult",
    "Slot",
    "Span",
    "Task",
    "TextError",
    "UnknownTask",
]
