"""Vectors of tokens, the building side: published from the weights of another task, never trained.

They are evaluated on pairs whose texts follow each other (the format pair_texts). Metric: Spearman's rank correlation
of BERTScore's F1 with the labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.embedding import unit
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import EMBEDDINGS, ENCODER_EMBEDDINGS

from ..errors import ConfigError
from ..metrics.correlation import pair_metrics
from ..metrics.neighbours import token_f1
from ..metrics.row_metric import RowMetric
from ..readers import Example
from . import LayerOutput
from .embedding import EmbeddingBuilder, check_pairs
from .similarity import label_of

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer
    from paddlenlp.transformers import ErnieConfig


class TokenEmbeddingBuilder(EmbeddingBuilder):
    """Target: how similar this text is to the other one of its pair. The layer is the encoder."""

    def model(self, config: ErnieConfig, manifest: Manifest) -> Layer:
        """The encoder; ConfigError where options.dimension is not its hidden size."""
        from ._layers import TokenStates

        dimension = manifest.options["dimension"]
        if dimension != config.hidden_size:
            raise ConfigError(
                f"{manifest.task}: options.dimension is {dimension}, the encoder's states have {config.hidden_size}"
            )
        return TokenStates(config)

    def outputs(self, raw: LayerOutput) -> dict[str, Tensor]:
        """embeddings [windows, tokens, dimension]."""
        return {ENCODER_EMBEDDINGS: raw}

    def row_metrics(
        self, examples: Sequence[Example], answers: Sequence[Answer | str], manifest: Manifest
    ) -> dict[str, RowMetric]:
        """`pair_metrics` of each pair's F1; a pair with an unanswered text counts as the opposite of its label."""
        check_pairs(examples, manifest)
        scores = [self._f1(first, second) for first, second in zip(answers[::2], answers[1::2], strict=True)]
        return pair_metrics(scores, [label_of(example) for example in examples[::2]])

    @staticmethod
    def _f1(first: Answer | str, second: Answer | str) -> float | None:
        if isinstance(first, str) or isinstance(second, str):
            return None
        return token_f1(*(unit(np.asarray(answer.numeric[EMBEDDINGS])) for answer in (first, second)))


KIND = TokenEmbeddingBuilder()
