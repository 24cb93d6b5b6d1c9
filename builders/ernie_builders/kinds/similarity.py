"""Similarity of two texts, the building side. Metric: Spearman's rank correlation with the labels (STS)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.similarity import FIRST
from ernie_runtime.manifest import Manifest
from ernie_runtime.text.windows import Document, Window

from ..checkpoints.checkpoint import Checkpoint
from ..errors import ConfigError
from ..metrics.correlation import pair_metrics
from ..metrics.row_metric import RowMetric
from ..readers import Example
from . import BuilderKind, LayerOutput, Row, Tensors
from ._projection import PROJECTION

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig

WRONG_DISTANCE = 0.5  # between cosine and label (0 to 1), above which a pair is listed as wrong


def label_of(example: Example) -> float:
    """The label of the pair: readers give a number, or a string that is one."""
    return float(example.target)


class SimilarityBuilder(BuilderKind):
    """Target: a number from 0 (nothing in common) to options.max_score (default 1: the same meaning)."""

    main_metric = "spearman"
    headline: tuple[str, ...] = ("accuracy_best_threshold",)
    has_pooler = False
    needs_head = False  # pooling has no weights, or the encoder's

    def reads_pooler(self, options: Json) -> bool:
        """Where it is the pooling: its vectors would be noise otherwise."""
        return options.get("pooling") == "pooler"

    def lacks(self, checkpoint: Checkpoint, options: Json) -> str | None:
        """A projection, where vectors are to have another length than the encoder's states."""
        hidden = checkpoint.config.hidden_size
        dimension = options.get("dimension", hidden)
        if dimension == hidden or PROJECTION in checkpoint.weights or self.derives_weights(options):
            return None
        is_set = f"set options.dimension = {hidden}, not {dimension}"
        return f"has no {PROJECTION}, and its vectors have {hidden} numbers: {is_set}"

    def check(self, example: Example, manifest: Manifest) -> str | None:
        """The score is a number from 0 to options.max_score."""
        max_score = manifest.options.get("max_score", 1)
        try:
            score = label_of(example)
        except (TypeError, ValueError):
            return f"the score {example.target!r} is not a number"
        if not 0 <= score <= max_score:
            return f"the score {example.target} is outside 0 to {max_score} (options.max_score)"
        return None

    def rows(self, example: Example, document: Document, windows: Sequence[Window], manifest: Manifest) -> list[Row]:
        """One row per pair, with the first window of each text."""
        first = document.extra[FIRST]
        if len(windows) < document.windows:
            raise ConfigError("train.windows_per_text must be 0: a similarity task trains on the first of each text")
        target = np.array(label_of(example) / manifest.options.get("max_score", 1), np.float32)
        return [Row((windows[0], windows[first]), {"score": target})]

    def model(self, config: ErnieConfig, manifest: Manifest) -> Layer:
        """The encoder with pooling, and a projection where options.dimension is not its hidden size."""
        from ._layers import PooledEncoder

        return PooledEncoder(config, manifest.options.get("pooling", "mean"), manifest.options["dimension"])

    def outputs(self, raw: LayerOutput) -> dict[str, Tensor]:
        """embedding [windows, dimension]."""
        return {"embedding": raw}

    def loss(self, outputs: Tensors, targets: Tensors) -> Tensor:
        """Squared error of the cosine against the score, scaled to 0 to 1."""
        from ._layers import cosine_loss

        return cosine_loss(outputs["embedding"], targets["score"])

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """`pair_metrics` of the cosines."""
        cosines = [None if isinstance(answer, str) else float(answer.numeric["SCORE"]) for answer in answers]
        return pair_metrics(cosines, [label_of(example) for example in examples])

    def wrong(self, example: Example, answer: Answer | str, manifest: Manifest) -> JsonObject | None:
        """Both texts, the label on a scale from 0 to 1 and the cosine, where these two differ much."""
        texts = list(example.texts)
        expected = label_of(example) / manifest.options.get("max_score", 1)
        if isinstance(answer, str):
            return {"text": texts, "expected": round(expected, 4), "error": answer}
        cosine = answer.result["score"]
        if abs(cosine - expected) <= WRONG_DISTANCE:
            return None
        return {"text": texts, "expected": round(expected, 4), "score": cosine}


KIND = SimilarityBuilder()
