"""Sentence embeddings, the building side: published from the weights of a similarity task, never trained.

They are evaluated as a similarity task is, on pairs whose texts follow each other (the format pair_texts).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.embedding import PCA, unit
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.windows import Document, Window

from ..checkpoints.checkpoint import Checkpoint
from ..errors import ConfigError
from ..metrics.correlation import pair_metrics
from ..metrics.row_metric import RowMetric
from ..readers import Example
from . import Row, Tensors
from ._projection import MAX_TEXTS, PROJECTION, fit_projection
from .similarity import SimilarityBuilder, label_of

if TYPE_CHECKING:
    from paddle import Tensor


SIZES = (32, 64, 128, 256)  # to which vectors that are reduced by PCA are cut, to see what that costs


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
    headline = (*SimilarityBuilder.headline, *(f"spearman_{size}" for size in SIZES))

    def derives_weights(self, options: Json) -> bool:
        """Where vectors are reduced by PCA."""
        return options.get("reduce") == PCA

    def derive_weights(
        self,
        checkpoint: Checkpoint,
        manifest: Manifest,
        train: Sequence[Example],
        pipeline: Callable[[Manifest], Pipeline],
    ) -> Checkpoint:
        """With the projection by PCA of the training text's vectors, unless the checkpoint has one.

        ConfigError where there is too little text, or the vectors would not become shorter.
        """
        if not self.derives_weights(manifest.options) or PROJECTION in checkpoint.weights:
            return checkpoint
        where, dimension, hidden = f"task {manifest.task}", manifest.options["dimension"], checkpoint.config.hidden_size
        if dimension >= hidden:
            raise ConfigError(f"{where}: options.dimension {dimension} must be below {hidden} to be reduced by PCA")
        texts = list(dict.fromkeys(example.texts for example in train))
        texts = texts[:: -(-len(texts) // MAX_TEXTS)] if texts else []
        if len(texts) < hidden:
            raise ConfigError(
                f"{where}: PCA is fitted on the texts of data.train, at least {hidden}; there are {len(texts)}: "
                "name the file in [tasks.NAME.data] train and give --data-dir"
            )
        options = {**manifest.options, "dimension": hidden}
        del options["reduce"]
        answers = pipeline(replace(manifest, options=options)).predict(texts)
        vectors = [answer.numeric["EMBEDDING"] for answer in answers if not isinstance(answer, str)]
        projection = fit_projection(unit(np.array(vectors, np.float64)), dimension)
        return replace(checkpoint, weights={**checkpoint.weights, PROJECTION: projection})

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

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """`pair_metrics` of each pair's cosine; a pair with an unanswered text counts as the opposite of its label.

        Of vectors that are reduced by PCA also `spearman_N` of their first N numbers.
        """
        check_pairs(examples, manifest)
        vectors = np.array([self._vector(answer, manifest) for answer in answers], np.float64)
        unanswered = [
            isinstance(a, str) or isinstance(b, str) for a, b in zip(answers[::2], answers[1::2], strict=True)
        ]
        labels = [label_of(example) for example in examples[::2]]
        metrics = pair_metrics(_cosines(vectors, unanswered, vectors.shape[1]), labels)
        if self.derives_weights(manifest.options):
            for size in SIZES:
                if size < manifest.options["dimension"]:
                    metrics[f"spearman_{size}"] = pair_metrics(_cosines(vectors, unanswered, size), labels)["spearman"]
        return metrics

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """Only texts without a vector: a vector by itself is neither right nor wrong."""
        return {"text": example.texts[0], "error": answer} if isinstance(answer, str) else None

    @staticmethod
    def _vector(answer: Answer | str, manifest: Manifest) -> np.ndarray:
        size = manifest.options["dimension"]
        return np.zeros(size) if isinstance(answer, str) else np.asarray(answer.numeric["EMBEDDING"], np.float64)


def _cosines(vectors: np.ndarray, unanswered: Sequence[bool], size: int) -> list[float | None]:
    """Of the pairs among vectors [2 N, D], by their first `size` numbers; None where a text has no vector."""
    first = unit(vectors[:, :size])
    cosines = (first[::2] * first[1::2]).sum(axis=1).tolist()
    return [None if missing else cosine for missing, cosine in zip(unanswered, cosines, strict=True)]


KIND = EmbeddingBuilder()
