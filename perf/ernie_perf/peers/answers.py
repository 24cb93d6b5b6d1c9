"""What an answer is, by the kind of the task: made of the model's output, compared, and read from Triton's answers.

Imports nothing of this project: the classic ensemble carries a copy of this file in its model repository.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

TOLERANCE = 1e-3  # of a score or of a vector's element: sums are cut in another way in another batch
Answer = dict[str, Any]  # JSON
EMBEDDING = "embedding"
Column = tuple[str, str, int]  # name, Triton type and elements of an item


class Answers(Protocol):
    """One kind of answers; made from a case, as `Case.write` wrote it."""

    columns: tuple[Column, ...]  # outputs of the classic ensemble
    published: str  # the output of this project's models that holds the answer

    def __call__(self, values: np.ndarray) -> list[Answer]:
        """An answer a row of the model's output, FP32 [B, W]."""

    def arrays(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """The same as the arrays of `columns`, each [B, elements]."""

    def from_columns(self, data: Mapping[str, Sequence[Any]]) -> Answer:
        """From the elements of `columns`, as JSON has them."""

    def from_published(self, data: Sequence[Any]) -> Answer:
        """From the elements of `published`, as JSON has them."""

    def difference(self, found: Mapping[str, Any], right: Mapping[str, Any]) -> str:
        """How an answer differs; empty where it is right. KeyError, TypeError or ValueError where it is none."""


class Labels:
    """`{"label", "score"}`: the likeliest class and its probability."""

    columns: tuple[Column, ...] = (("label", "STRING", 1), ("score", "FP32", 1))
    published = "RESULT"

    def __init__(self, case: Mapping[str, Any]) -> None:
        self.labels: Sequence[str] = case["labels"]

    def __call__(self, values: np.ndarray) -> list[Answer]:
        """values: logits."""
        best, scores = self._best(values)
        return [{"label": self.labels[i], "score": float(score)} for i, score in zip(best, scores, strict=True)]

    def arrays(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """label OBJECT (bytes) and score FP32, both [B, 1]."""
        best, scores = self._best(values)
        names = np.array([[self.labels[i].encode("utf-8")] for i in best], dtype=object)
        return {"label": names, "score": scores.astype(np.float32)[:, None]}

    def from_columns(self, data: Mapping[str, Sequence[Any]]) -> Answer:
        """One element each."""
        return {"label": data["label"][0], "score": data["score"][0]}

    def from_published(self, data: Sequence[Any]) -> Answer:
        """RESULT is JSON itself."""
        found: Answer = json.loads(data[0])
        return found

    def difference(self, found: Mapping[str, Any], right: Mapping[str, Any]) -> str:
        """The label must be equal, the score close."""
        label, score = found["label"], float(found["score"])
        if label == right["label"] and abs(score - right["score"]) <= TOLERANCE:
            return ""
        return f"{label} {score:.4f} where {right['label']} {right['score']:.4f} is right"

    @staticmethod
    def _best(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Class and probability of each row."""
        exponents = np.exp(values - values.max(axis=-1, keepdims=True))
        scores = exponents / exponents.sum(axis=-1, keepdims=True)
        return scores.argmax(axis=-1), scores.max(axis=-1)


class Vectors:
    """`{"embedding"}`: the vector of a text, at length 1 where the task says so."""

    published = "EMBEDDING"

    def __init__(self, case: Mapping[str, Any]) -> None:
        self.columns: tuple[Column, ...] = (("vector", "FP32", case["width"]),)
        self.normalize: bool = case["normalize"]

    def __call__(self, values: np.ndarray) -> list[Answer]:
        """values: embeddings as the model pooled them."""
        return [{"embedding": row} for row in self.arrays(values)["vector"].tolist()]

    def arrays(self, values: np.ndarray) -> dict[str, np.ndarray]:
        """vector FP32 [B, W]."""
        if self.normalize:
            values = values / np.maximum(np.linalg.norm(values, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
        return {"vector": values}

    def from_columns(self, data: Mapping[str, Sequence[Any]]) -> Answer:
        """All elements."""
        return {"embedding": data["vector"]}

    def from_published(self, data: Sequence[Any]) -> Answer:
        """All elements."""
        return {"embedding": data}

    def difference(self, found: Mapping[str, Any], right: Mapping[str, Any]) -> str:
        """Every element must be close."""
        vector, wanted = (np.asarray(one["embedding"], np.float64) for one in (found, right))
        if vector.shape != wanted.shape:
            raise ValueError(f"a vector {list(vector.shape)} where {list(wanted.shape)} is right")
        greatest = float(np.abs(vector - wanted).max())
        return "" if greatest <= TOLERANCE else f"a vector that is off by {greatest:.4f}"


KINDS: Mapping[str, type[Labels] | type[Vectors]] = {
    "sequence_classification": Labels,
    "pair_classification": Labels,
    EMBEDDING: Vectors,
}


def answers_of(case: Mapping[str, Any]) -> Answers:
    """The kind of answers that a case has."""
    return KINDS[case["kind"]](case)
