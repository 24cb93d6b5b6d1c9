"""What a student encoder copies from its teacher's: relations inside attention, and hidden states.

Source: MiniLM v2 (Wang et al. 2021): of one layer, how alike the queries of every two tokens are (and the keys, and
the values), as a distribution a token, in any number of "relation heads" that divides both hidden sizes, so that the
attention heads of teacher and student may differ. Hidden states as TinyBERT has them (Jiao et al. 2020): a squared
error, through a learnt projection where the sizes differ.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..errors import ConfigError

MOST_HEADS = 48  # as MiniLM v2 has at most
PARTS = ("q_proj", "k_proj", "v_proj")


def relation_heads(hidden: Sequence[int], asked: int = 0) -> int:
    """The asked number, or the largest up to 16 that divides all hidden sizes; ConfigError where it divides not all."""
    if asked:
        wrong = [size for size in hidden if size % asked]
        if wrong or not 0 < asked <= MOST_HEADS:
            reason = f"does not divide {wrong[0]} hidden units" if wrong else f"must be 1 to {MOST_HEADS}"
            raise ConfigError(f"--relation-heads {asked}: {reason}; 0 takes one that fits")
        return asked
    return max(number for number in range(1, 17) if all(size % number == 0 for size in hidden))


class Watch:
    """What an encoder (`model.ernie`) gave in its last call.

    states: embeddings and every layer, float [B, L, H]; vectors: queries, keys and values of layer `layer`.
    """

    def __init__(self, model: Any, layer: int) -> None:
        layers = list(model.ernie.encoder.layers)
        self.states: list[Any] = [None] * (len(layers) + 1)
        self.vectors: list[Any] = [None] * len(PARTS)
        for place, part in enumerate([model.ernie.embeddings, *layers]):
            part.register_forward_post_hook(_keep(self.states, place))
        for place, name in enumerate(PARTS):
            getattr(layers[layer].self_attn, name).register_forward_post_hook(_keep(self.vectors, place))


def _keep(seen: list[Any], place: int) -> Any:
    def hook(_layer: Any, _inputs: Any, output: Any) -> None:
        seen[place] = output[0] if isinstance(output, tuple) else output

    return hook


def relation(vectors: Any, heads: int) -> Any:
    """Log probabilities float [B, heads, L, L]: how alike a token's vector and every other's are; vectors [B, L, H]."""
    import paddle

    batch, length, hidden = vectors.shape
    split = vectors.reshape([batch, length, heads, hidden // heads]).transpose([0, 2, 1, 3])
    scores = paddle.matmul(split, split, transpose_y=True) / math.sqrt(hidden / heads)
    return paddle.nn.functional.log_softmax(scores, -1)


def divergence(teacher: Any, student: Any) -> Any:
    """Mean Kullback-Leibler divergence of distributions over the last axis, given as log probabilities."""
    return (teacher.exp() * (teacher - student)).sum(-1).mean()
