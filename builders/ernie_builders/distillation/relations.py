"""What a student encoder learns from its teacher: relations inside attention, and hidden states.

Source: MiniLM v2 (Wang et al. 2021): in one layer, how similar the queries of every two tokens are (and the keys, and
the values), as one distribution per token, in any number of "relation heads" that divides both hidden sizes, so that
teacher and student may have different attention heads. Hidden states as in TinyBERT (Jiao et al. 2020): the squared
error, through a learnt projection if the sizes differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..errors import ConfigError
from ..training.distiller import encoder_states, record_outputs

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer

MOST_HEADS = 48  # the most that MiniLM v2 uses
PARTS = ("q_proj", "k_proj", "v_proj")


def relation_heads(hidden: Sequence[int], requested: int = 0) -> int:
    """`requested`; if 0, the largest number up to 16 that divides all hidden sizes. ConfigError if it does not fit."""
    if requested:
        wrong = [size for size in hidden if size % requested]
        if wrong or not 0 < requested <= MOST_HEADS:
            reason = f"does not divide {wrong[0]} hidden units" if wrong else f"must be 1 to {MOST_HEADS}"
            raise ConfigError(f"--relation-heads {requested}: {reason}; 0 takes one that fits")
        return requested
    return max(number for number in range(1, 17) if all(size % number == 0 for size in hidden))


class Watch:
    """Records what an encoder (`model.ernie`) computed in its last call.

    states: embeddings and every layer, float [B, L, H]; vectors: queries, keys and values of layer `layer`.
    """

    def __init__(self, model: Layer, layer: int) -> None:
        attention = model.ernie.encoder.layers[layer].self_attn
        self.states = encoder_states(model)
        self.vectors = record_outputs([getattr(attention, name) for name in PARTS])


def relation(vectors: Tensor, heads: int) -> Tensor:
    """How similar each two tokens' vectors are, as log probabilities [B, heads, L, L]; vectors: float [B, L, H]."""
    import paddle

    batch, length, hidden = vectors.shape
    by_head = vectors.reshape([batch, length, heads, hidden // heads]).transpose([0, 2, 1, 3])
    scores = paddle.matmul(by_head, by_head, transpose_y=True) / math.sqrt(hidden / heads)
    return paddle.nn.functional.log_softmax(scores, -1)


def divergence(teacher: Tensor, student: Tensor) -> Tensor:
    """Mean Kullback-Leibler divergence of distributions over the last axis, given as log probabilities."""
    return (teacher.exp() * (teacher - student)).sum(-1).mean()
