"""Vectors of pairs of texts, the building side: published from the weights of another task, never trained.

Metric: how often the nearest other pair has the same label (leave-one-out classification by the nearest neighbour).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.embedding import unit
from ernie_runtime.manifest import Manifest

from ..metrics.neighbours import neighbours_agree
from ..metrics.row_metric import RowMetric, mean
from ..readers import Example
from .embedding import EmbeddingBuilder


class PairEmbeddingBuilder(EmbeddingBuilder):
    """Target: the label of the pair, as the data has it. The layer is the similarity kind's."""

    main_metric = "neighbour_accuracy"

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """Any label will do."""
        return None

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """`neighbour_accuracy` in percent, by cosine; a pair without an answer counts as wrong."""
        answered = [i for i, answer in enumerate(answers) if not isinstance(answer, str)]
        vectors = np.array([self._vector(answers[i], manifest) for i in answered], np.float32)
        labels = [str(examples[i].target) for i in answered]
        right = np.zeros(len(answers))
        if len(answered) > 1:
            right[answered] = neighbours_agree(unit(vectors), labels)
        return {"neighbour_accuracy": RowMetric(rows=right, of=mean)}


KIND = PairEmbeddingBuilder()
