"""Client for the tasks that ernie-triton publishes: `Client().predict("tnews", texts)`."""

from .async_client import AsyncClient
from .client import Client
from .connection import Certificates, Retry
from .errors import (
    AccessDenied,
    ErnieTritonError,
    InvalidText,
    ServerError,
    ServerOverloaded,
    ServerTimeout,
    ServerUnavailable,
    UnknownTask,
    WrongKind,
)
from .gathering import Gathering
from .replies import Reply
from .results import (
    AnswersResult,
    Candidate,
    ClassificationResult,
    EmbeddingResult,
    EntitiesResult,
    Entity,
    HierarchyLabel,
    HierarchyResult,
    IntentResult,
    Label,
    MasksResult,
    RankingResult,
    RawResult,
    Result,
    Results,
    SimilarityResult,
    Slot,
    Span,
    TextError,
    TokenEmbeddingsResult,
)
from .tasks import Task

__all__ = [
    "AccessDenied",
    "AnswersResult",
    "AsyncClient",
    "Candidate",
    "Certificates",
    "ClassificationResult",
    "Client",
    "EmbeddingResult",
    "EntitiesResult",
    "Entity",
    "ErnieTritonError",
    "Gathering",
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
    "Results",
    "Retry",
    "ServerError",
    "ServerOverloaded",
    "ServerTimeout",
    "ServerUnavailable",
    "SimilarityResult",
    "Slot",
    "Span",
    "Task",
    "TextError",
    "TokenEmbeddingsResult",
    "UnknownTask",
    "WrongKind",
]


def __getattr__(name: str) -> str:
    """`__version__`, read when it is asked for: the package metadata takes longer to load than this package."""
    if name == "__version__":
        from .version import version

        return version()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
