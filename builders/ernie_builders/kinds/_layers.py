"""Paddle layers and losses that kinds share. Imports Paddle: import it inside functions only."""

from __future__ import annotations

from typing import Any

import paddle
import paddle.nn.functional as F
from paddlenlp.transformers import ErnieModel

from . import IGNORED


class PooledEncoder(paddle.nn.Layer):
    """ERNIE, a pooling over its real tokens ([CLS] and [SEP] among them), and where asked a linear projection.

    pooling: "cls", the state of [CLS]; "mean", the mean over tokens; "first_last_mean", the mean over tokens of the
    first and the last layer's states (Su et al. 2021, "Whitening Sentence Representations"). dimension: length of
    the vector; a bias-free `projection` is there only where it is not the hidden size.
    """

    def __init__(self, config: Any, pooling: str, dimension: int) -> None:
        super().__init__()
        self.ernie = ErnieModel(config)
        self.pooling = pooling
        self.projection = (
            None
            if dimension == config.hidden_size
            else paddle.nn.Linear(config.hidden_size, dimension, bias_attr=False)
        )

    def forward(self, input_ids: Any, token_type_ids: Any = None) -> Any:
        """float32 [B, dimension] for int64 [B, L]; padding (id 0) never counts."""
        if self.pooling == "first_last_mean":
            last, _, states = self.ernie(input_ids, token_type_ids=token_type_ids, output_hidden_states=True)
            hidden = (states[1] + last) / 2  # states[0] is what the embeddings say, before any layer
        else:
            hidden, _ = self.ernie(input_ids, token_type_ids=token_type_ids)
        if self.pooling == "cls":
            vector = hidden[:, 0]
        else:
            real = (input_ids != 0).astype(hidden.dtype).unsqueeze(-1)
            vector = (hidden * real).sum(axis=1) / real.sum(axis=1)
        return vector if self.projection is None else self.projection(vector)


def token_loss(logits: Any, targets: Any) -> Any:
    """Mean cross entropy over the tokens that have a target; logits [B, L, C], targets int64 [B, L].

    By hand: where `ignore_index` is negative, Paddle's own mean counts ignored tokens in, so that a batch would weigh
    the less the more padding it has.
    """
    summed = F.cross_entropy(logits, targets, ignore_index=IGNORED, reduction="sum")
    return summed / (targets != IGNORED).sum().clip(min=1).astype(summed.dtype)
