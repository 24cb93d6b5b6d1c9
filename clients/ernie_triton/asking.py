"""The methods of Client that ask a task of one kind, typed by its answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from typing import TYPE_CHECKING

from .items import Item
from .job import R
from .options import AskOptions, VectorOptions
from .results import (
    AnswersResult,
    ClassificationResult,
    EmbeddingResult,
    EntitiesResult,
    HierarchyResult,
    IntentResult,
    MasksResult,
    RankingResult,
    Results,
    SimilarityResult,
    TokenEmbeddingsResult,
)
from .vectors import stacked

if TYPE_CHECKING:
    import numpy as np
    from typing_extensions import Unpack

Texts = Item | Iterable[Item]
"""One item or several."""


class TypedMethods(ABC):
    """Each asks a task about one text or several, and returns their answers in order; see `Client.predict`.

    Raises WrongKind where the task is of another kind, and what `predict` raises.
    """

    @abstractmethod
    def _typed(self, result: type[R], task: str, texts: Texts, **options: Unpack[VectorOptions]) -> Results[R]:
        """The answers, which are of this class."""

    def classify(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[ClassificationResult]:
        """The label of each text, or of each pair of texts."""
        return self._typed(ClassificationResult, task, texts, **options)

    def entities(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[EntitiesResult]:
        """The entities in each text."""
        return self._typed(EntitiesResult, task, texts, **options)

    def answer(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[AnswersResult]:
        """The answers to each question in its context: items are (question, context)."""
        return self._typed(AnswersResult, task, texts, **options)

    def understand(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[IntentResult]:
        """The intent and the slots of each utterance."""
        return self._typed(IntentResult, task, texts, **options)

    def label_hierarchy(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[HierarchyResult]:
        """The labels of each text in a tree of labels."""
        return self._typed(HierarchyResult, task, texts, **options)

    def similarity(self, task: str, texts: Texts, **options: Unpack[VectorOptions]) -> Results[SimilarityResult]:
        """How alike the two texts of each item are."""
        return self._typed(SimilarityResult, task, texts, **options)

    def rank(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[RankingResult]:
        """The candidates for each query, best first: items are (query, [candidate, ...])."""
        return self._typed(RankingResult, task, texts, **options)

    def fill(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[MasksResult]:
        """The likeliest tokens for each [MASK] of each text."""
        return self._typed(MasksResult, task, texts, **options)

    def embed(self, task: str, texts: Texts, **options: Unpack[VectorOptions]) -> np.ndarray:
        """The vectors of texts, or of pairs of texts: float32 [texts, dimension]."""
        return stacked(self._typed(EmbeddingResult, task, texts, **options))

    def embed_tokens(self, task: str, texts: Texts, **options: Unpack[VectorOptions]) -> Results[TokenEmbeddingsResult]:
        """The vectors of the tokens of each text, and where in the text they are."""
        return self._typed(TokenEmbeddingsResult, task, texts, **options)
