"""Sentence embeddings, the building side: published from the weights of a similarity task, never trained.

They are evaluated as a similarity task is, on pairs whose texts follow each other (the format pair_texts).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.embedding import unit
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.windows import Document, Window

from ..errors import ConfigError
from ..metrics.correlation import pair_metrics
from ..readers import Example
from . import Row, Tensors
from .similarity import SimilarityBuilder, label_of

if TYPE_CHECKING:
    from paddle import Tensor


def check_pairs(examples: Sequence[Example], manifest: Manifest) -> None:
    """ConfigError where the examples are not the two texts of each pair, one after the other."""
    lines = [example.line for example in examples]
    if lines[::2] != lines[1::2]:
        raise ConfigError(
            f"task {manifest.task}: an embedding is evaluated on pairs: set data.format to pair_texts, and "
            "data.fields.pairs to the format of the file"
        )


class EmbeddingBuilder(SimilarityBuilder):
    """Target: how similar this text is to the other one of its pair. The layer is the similarity kind's."""

    trains = False

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """The score is a number."""
        try:
            finite = math.isfinite(label_of(example))
        except (TypeError, ValueError):
            finite = False
        return None if finite else f"the score {example.target!r} is not a number"

    def rows(self, example: Example, document: Document, windows: Sequence[Window], manifest: Manifest) -> list[Row]:
        """None: the similarity kind trains."""
        return []

    def loss(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """Never called: nothing is trained."""
        raise NotImplementedError

    def score(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, float]:
        """`pair_metrics` of each pair's cosine; a pair with an unanswered text counts as the opposite of its label."""
        check_pairs(examples, manifest)
        vectors = unit(np.array([self._vector(answer, manifest) for answer in answers], np.float64))
        cosines = (vectors[::2] * vectors[1::2]).sum(axis=1)
        unanswered = [
            isinstance(a, str) or isinstance(b, str) for a, b in zip(answers[::2], answers[1::2], strict=True)
        ]
        answered = [None if missing else float(cosine) for missing, cosine in zip(unanswered, cosines, strict=True)]
        return pair_metrics(answered, [label_of(example) for example in examples[::2]])

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """Only texts without a vector: a vector by itself is neither right nor wrong."""
        return {"text": example.texts[0], "error": answer} if isinstance(answer, str) else None

    @staticmethod
    def _vector(answer: Answer | str, manifest: Manifest) -> np.ndarray:
        size = manifest.options["dimension"]
        return np.zeros(size) if isinstance(answer, str) else np.asarray(answer.numeric["EMBEDDING"], np.float64)


KIND = EmbeddingBuilder()
