"""Drop-in replacements for Paddle's layers that train faster on a CPU, with the same weights and outputs.

When Paddle 3.3 fine-tunes a small ERNIE on a CPU, much of the time is spent where cheaper ways exist: random numbers
for dropout are drawn one by one; broadcasting the attention mask is slow; gradients of biases and of layer
normalization are slow loops over all tokens that can be matrix products; and classifiers compute all tokens of the last
layer though the head reads only the first. Gradients are the same up to rounding; dropout uses another stream of random
numbers. GPUs keep Paddle's own layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import paddle
from paddle import Tensor
from paddle.autograd import PyLayerContext
from paddle.nn import Layer, functional

from ..kinds import LayerOutput
from .first_token import reads_first_token_only


def speed_up(model: Layer, all_tokens: bool = False) -> None:
    """Replace the model's layers in place; in eval mode they behave as before. Weights keep their names.

    model: a layer with the encoder (ErnieModel) as `.ernie`. all_tokens: the last layer returns the states of all
    tokens even where the head reads only the first one.
    """
    model.eval()
    first_only = not all_tokens and reads_first_token_only(model)
    model.train()
    for layer in model.sublayers(include_self=True):
        replacement = REPLACEMENTS.get(type(layer))
        if replacement is not None:
            layer.__class__ = replacement
    last = model.ernie.encoder.layers[-1]
    if first_only and isinstance(last, EncoderLayer):
        last.first_only = True


def dropout(x: Tensor, rate: float) -> Tensor:
    """float [...]: each element is 0 with probability `rate`, else divided by 1 - rate; seeded by Paddle's generator.

    A draw has 16 bits, so the probability is exact to 1/65536.
    """
    if not rate:
        return x
    size = int(np.prod(x.shape))
    generator = np.random.SFC64(int(paddle.randint(0, 2**31 - 1, [1]).numpy()[0]))
    draws = generator.random_raw(-(-size // 4)).view(np.uint16)[:size].reshape(x.shape)
    return x * paddle.to_tensor(np.multiply(draws >= round(rate * 65536), np.float32(1 / (1 - rate)), dtype=np.float32))


class AddBias(paddle.autograd.PyLayer):
    """float [..., H] + [H]; the gradient of the bias, a sum over all tokens, is computed as a matrix product."""

    @staticmethod
    def forward(ctx: PyLayerContext, x: Tensor, bias: Tensor) -> Tensor:
        del ctx
        return x + bias

    @staticmethod
    def backward(ctx: PyLayerContext, gradient: Tensor) -> tuple[Tensor, Tensor]:
        del ctx
        return gradient, _sum_of_rows(gradient)


class Normalize(paddle.autograd.PyLayer):
    """Layer normalization of float [..., H] (Ba et al. 2016) whose gradient sums and broadcasts by matrix products."""

    @staticmethod
    def forward(ctx: PyLayerContext, x: Tensor, weight: Tensor, bias: Tensor, epsilon: float) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.epsilon = epsilon
        return functional.layer_norm(x, weight.shape, weight, bias, epsilon)

    @staticmethod
    def backward(ctx: PyLayerContext, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        x, weight = ctx.saved_tensor()
        width = weight.shape[0]
        rows, upstream = x.reshape([-1, width]), gradient.reshape([-1, width])
        mean, spread = paddle.full([width, 1], 1 / width), paddle.ones([1, width])
        centred = rows - paddle.matmul(paddle.matmul(rows, mean), spread)
        scale = paddle.matmul(paddle.rsqrt(paddle.matmul(paddle.square(centred), mean) + ctx.epsilon), spread)
        normal = centred * scale
        inner = upstream * paddle.matmul(paddle.ones([rows.shape[0], 1]), weight.reshape([1, width]))
        projection = paddle.matmul(paddle.matmul(inner * normal, mean), spread)
        result = (inner - paddle.matmul(paddle.matmul(inner, mean), spread) - normal * projection) * scale
        return result.reshape(x.shape), _sum_of_rows(upstream * normal), _sum_of_rows(upstream)


def _sum_of_rows(x: Tensor) -> Tensor:
    """The sum of float [..., H] over all but the last axis: float [H]."""
    rows = x.reshape([-1, x.shape[-1]])
    return paddle.matmul(paddle.ones([1, rows.shape[0]]), rows).reshape([-1])


class Linear(paddle.nn.Linear):
    """`paddle.nn.Linear`."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.bias is None or self.bias.stop_gradient:
            return super().forward(x)
        return AddBias.apply(paddle.matmul(x, self.weight), self.bias)


class LayerNorm(paddle.nn.LayerNorm):
    """`paddle.nn.LayerNorm` over the last axis."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.weight is None or self.bias is None or len(self._normalized_shape) != 1:
            return super().forward(x)
        return Normalize.apply(x, self.weight, self.bias, self._epsilon)


class Dropout(paddle.nn.Dropout):
    """`paddle.nn.Dropout`, upscale_in_train."""

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.axis is not None or self.mode != "upscale_in_train":
            return super().forward(x)
        return dropout(x, self.p)


class Attention(paddle.nn.MultiHeadAttention):
    """`paddle.nn.MultiHeadAttention`."""

    def forward(
        self,
        query: Tensor,
        key: Tensor | None = None,
        value: Tensor | None = None,
        attn_mask: Tensor | None = None,
        cache: Any = None,
    ) -> LayerOutput:
        if not self.training or cache is not None or self.need_weights:
            return super().forward(query, key, value, attn_mask, cache)
        q, k, v = self._prepare_qkv(query, query if key is None else key, query if value is None else value)
        q = q * self.head_dim**-0.5
        batch, heads, tokens, _ = k.shape
        if attn_mask is not None and attn_mask.shape == [batch, 1, 1, tokens]:
            # The mask becomes one more element of each key, and queries get a 1 there: a broadcast would be slower.
            q = paddle.concat([q, paddle.ones([*q.shape[:3], 1])], -1)
            k = paddle.concat([k, attn_mask.transpose([0, 1, 3, 2]).expand([batch, heads, tokens, 1])], -1)
            attn_mask = None
        scores = paddle.matmul(q, k, transpose_y=True)
        weights = functional.softmax(scores if attn_mask is None else scores + attn_mask)
        mixed = paddle.matmul(dropout(weights, self.dropout), v).transpose([0, 2, 1, 3])
        return self.out_proj(mixed.reshape([0, 0, mixed.shape[2] * mixed.shape[3]]))


class EncoderLayer(paddle.nn.TransformerEncoderLayer):
    """`paddle.nn.TransformerEncoderLayer`; with `first_only` it returns float [B, 1, H], the first token's state."""

    first_only = False

    def forward(self, src: Tensor, src_mask: Tensor | None = None, cache: Any = None, **options: Any) -> LayerOutput:
        if not (self.training and self.first_only) or cache is not None:
            return super().forward(src, src_mask, cache, **options)
        state = src[:, :1]
        state = self.norm1(state + self.dropout1(self.self_attn(state, src, src, src_mask)))
        hidden = self.dropout(self.activation(self.linear1(state)))
        return self.norm2(state + self.dropout2(self.linear2(hidden)))


REPLACEMENTS = {
    paddle.nn.Linear: Linear,
    paddle.nn.LayerNorm: LayerNorm,
    paddle.nn.Dropout: Dropout,
    paddle.nn.MultiHeadAttention: Attention,
    paddle.nn.TransformerEncoderLayer: EncoderLayer,
}
