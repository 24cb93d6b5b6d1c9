"""The last layer computed for the first token only, where the head reads nothing else: the same answers, faster.

A classifier reads the state of [CLS]. The last layer then needs the keys and values of all tokens, but the query, the
attention's output and the feed-forward network of one token only: 2 of a layer's 12 H x H products per token remain.
This saves a fifth of the work of a 4-layer encoder, and two fifths with 2 layers. It is exact, not an approximation.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle import Tensor
from paddle.nn import Layer

from ..kinds import LayerOutput


class FirstTokenLayer(paddle.nn.Layer):
    """Wraps a `paddle.nn.TransformerEncoderLayer`; returns float [B, 1, H], the state of the first token."""

    def __init__(self, layer: Layer) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, src: Tensor, src_mask: Tensor | None = None, **_: Any) -> Tensor:
        """src: float [B, L, H]; src_mask: broadcast to [B, heads, 1, L]. There is no dropout: for serving only."""
        layer, first = self.layer, src[:, :1]
        state = layer.norm1(first + layer.self_attn(first, src, src, src_mask))
        return layer.norm2(state + layer.linear2(layer.activation(layer.linear1(state))))


def reads_first_token_only(model: Layer) -> bool:
    """Whether the outputs stay the same when the last layer's states are zeroed for all tokens but the first.

    model: a layer with the encoder as `.ernie`, in eval mode.
    """
    ids = np.arange(3, 19, dtype=np.int64).reshape(2, 8) % model.ernie.config.vocab_size
    ids[1, 6:] = 0
    tensors = paddle.to_tensor(ids), paddle.zeros(ids.shape, "int64")

    def zero_others(_layer: Layer, _inputs: tuple[Tensor, ...], output: Tensor) -> Tensor:
        return paddle.concat([output[:, :1], paddle.zeros_like(output[:, 1:])], axis=1)

    with paddle.no_grad():
        unchanged = _arrays(model(tensors[0], token_type_ids=tensors[1]))
        hook = model.ernie.encoder.layers[-1].register_forward_post_hook(zero_others)
        try:
            zeroed = _arrays(model(tensors[0], token_type_ids=tensors[1]))
        finally:
            hook.remove()
    return all(np.array_equal(a, b) for a, b in zip(unchanged, zeroed, strict=True))


def trim(model: Layer) -> Layer:
    """The model, with its last layer replaced in place where the head reads only the first token."""
    layers = model.ernie.encoder.layers
    if reads_first_token_only(model):
        layers[len(layers) - 1] = FirstTokenLayer(layers[len(layers) - 1])
    return model


def _arrays(raw: LayerOutput) -> list[np.ndarray]:
    return [np.asarray(value.numpy()) for value in (raw if isinstance(raw, (list, tuple)) else (raw,))]
