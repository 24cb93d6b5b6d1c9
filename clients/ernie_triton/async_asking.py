"""The methods of AsyncClient that ask a task of one kind, typed by its answers."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from .asking import Texts
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


class AsyncTypedMethods(ABC):
    """Each asks a task about one text or several, and returns their answers in order; see `AsyncClient.predict`.

    Raises WrongKind where the task is of another kind, and what `predict` raises.
    """

    @abstractmethod
    async def _typed(self, result: type[R], task: str, texts: Texts, **options: Unpack[VectorOptions]) -> Results[R]:
        """The answers, which are of this class."""

    async def classify(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[ClassificationResult]:
        """The label of each text, or of each pair of texts."""
        return await self._typed(ClassificationResult, task, texts, **options)

    async def entities(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[EntitiesResult]:
        """The entities in each text."""
        return await self._typed(EntitiesResult, task, texts, **options)

    async def answer(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[AnswersResult]:
        """The answers to each question in its context: items are (question, context)."""
        return await self._typed(AnswersResult, task, texts, **options)

    async def understand(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[IntentResult]:
        """The intent and the slots of each utterance."""
        return await self._typed(IntentResult, task, texts, **options)

    async def label_hierarchy(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[HierarchyResult]:
        """The labels of each text in a tree of labels."""
        return await self._typed(HierarchyResult, task, texts, **options)

    async def similarity(self, task: str, texts: Texts, **options: Unpack[VectorOptions]) -> Results[SimilarityResult]:
        """How alike the two texts of each item are."""
        return await self._typed(SimilarityResult, task, texts, **options)

    async def rank(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[RankingResult]:
        """The candidates for each query, best first: items are (query, [candidate, ...])."""
        return await self._typed(RankingResult, task, texts, **options)

    async def fill(self, task: str, texts: Texts, **options: Unpack[AskOptions]) -> Results[MasksResult]:
        """The likeliest tokens for each [MASK] of each text."""
        return await self._typed(MasksResult, task, texts, **options)

    async def embed(self, task: str, texts: Texts, **options: Unpack[VectorOptions]) -> np.ndarray:
        """The vectors of texts, or of pairs of texts: float32 [texts, dimension]."""
        return stacked(await self._typed(EmbeddingResult, task, texts, **options))

    async def embed_tokens(
        self, task: str, texts: Texts, **options: Unpack[VectorOptions]
    ) -> Results[TokenEmbeddingsResult]:
        """The vectors of the tokens of each text, and where in the text they are."""
        return await self._typed(TokenEmbeddingsResult, task, texts, **options)
