"""Width and depth pruning: removes whole attention heads, feed-forward (FFN) neurons and layers.

Source: DynaBERT (Hou et al. 2020). The importance of a head or neuron is |sum of gradient x weight|, the first-order
change of a batch's loss without it, summed over batches; the texts are not those that figures are measured on. Unlike
in PaddleNLP's implementation, every width starts from the full model, never from an already pruned one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np

from ..checkpoints.weight_formats import Weights
from ..errors import ConfigError

if TYPE_CHECKING:
    from paddle.nn import Layer

LAYER = re.compile(r"ernie\.encoder\.layers\.(\d+)\.(.+)")
QKV = tuple(f"self_attn.{name}_proj" for name in "qkv")
TOLERANCE = 0.005  # of a width: names of variants give two digits
Importance = list[tuple[np.ndarray, np.ndarray]]
"""For each layer: float64 [heads], float64 [FFN neurons]."""


def layer_count(weights: Mapping[str, np.ndarray]) -> int:
    """The number of encoder layers."""
    return 1 + max(int(match.group(1)) for name in weights if (match := LAYER.match(name)))


def heads_of(weights: Mapping[str, np.ndarray], layer: int, head_size: int) -> int:
    """The number of attention heads of a layer, from the shape of its weights."""
    return int(weights[f"ernie.encoder.layers.{layer}.self_attn.q_proj.weight"].shape[1]) // head_size


def check_width(width: float, heads: int, neurons: int) -> None:
    """ConfigError where the width leaves no whole number of heads, or no neuron; 0.67 of 12 heads is taken as 8."""
    if abs(width * heads - round(width * heads)) > TOLERANCE * heads or round(width * heads) < 1:
        valid = ", ".join(f"w{n / heads:.2g}" for n in range(1, heads))
        raise ConfigError(f"width {width:g} of {heads} attention heads is no whole number of heads; possible: {valid}")
    if round(width * neurons) < 1:
        raise ConfigError(f"width {width:g} of {neurons} FFN neurons leaves none")


def add_importance(total: Importance, layers: Iterable[Layer], head_size: int) -> Importance:
    """Add the absolute importance in one backward pass; layers: Paddle's TransformerEncoderLayers."""
    for i, layer in enumerate(layers):
        if i == len(total):
            total.append((np.zeros(1), np.zeros(1)))
        heads, neurons = total[i]
        output = layer.self_attn.out_proj.weight  # [heads x head_size, hidden]
        by_row = (output.grad.numpy().astype(np.float64) * output.numpy()).sum(1)
        inner = layer.linear2.weight  # [neurons, hidden]
        by_neuron = (inner.grad.numpy().astype(np.float64) * inner.numpy()).sum(1)
        total[i] = heads + np.abs(by_row.reshape(-1, head_size).sum(1)), neurons + np.abs(by_neuron)
    return total


def narrowed(weights: Weights, importance: Importance, width: float, head_size: int) -> Weights:
    """The weights with the share `width` of heads and neurons in every layer, the most important ones, in their order.

    Other weights are unchanged. ConfigError where the width leaves no whole number of heads.
    """
    result = dict(weights)
    for i, (heads, neurons) in enumerate(importance):
        check_width(width, len(heads), len(neurons))
        count = round(width * len(heads))
        head_indices = np.sort(np.argsort(-heads, kind="stable")[:count])
        columns = (head_indices[:, None] * head_size + np.arange(head_size)).reshape(-1)
        neuron_indices = np.sort(np.argsort(-neurons, kind="stable")[: round(count / len(heads) * len(neurons))])
        prefix = f"ernie.encoder.layers.{i}."
        for projection in QKV:
            result[f"{prefix}{projection}.weight"] = weights[f"{prefix}{projection}.weight"][:, columns]
            result[f"{prefix}{projection}.bias"] = weights[f"{prefix}{projection}.bias"][columns]
        result[f"{prefix}self_attn.out_proj.weight"] = weights[f"{prefix}self_attn.out_proj.weight"][columns]
        result[f"{prefix}linear1.weight"] = weights[f"{prefix}linear1.weight"][:, neuron_indices]
        result[f"{prefix}linear1.bias"] = weights[f"{prefix}linear1.bias"][neuron_indices]
        result[f"{prefix}linear2.weight"] = weights[f"{prefix}linear2.weight"][neuron_indices]
    return {name: np.ascontiguousarray(value) for name, value in result.items()}


def layers_kept(count: int, depth: int) -> list[int]:
    """Indices of `depth` of `count` layers, evenly spread, the last one among them; ConfigError for a wrong depth."""
    if not 0 < depth <= count:
        raise ConfigError(f"depth {depth}: the model has {count} layers")
    return [round((i + 1) * count / depth) - 1 for i in range(depth)]


def shallower(weights: Weights, depth: int) -> Weights:
    """The weights with `depth` layers, renumbered."""
    new_index = {old: new for new, old in enumerate(layers_kept(layer_count(weights), depth))}
    result = {}
    for name, value in weights.items():
        match = LAYER.match(name)
        if match is None:
            result[name] = value
        elif int(match.group(1)) in new_index:
            result[f"ernie.encoder.layers.{new_index[int(match.group(1))]}.{match.group(2)}"] = value
    return result


def fit_width(model: Layer, weights: Mapping[str, np.ndarray]) -> None:
    """Give the layers of a Paddle ERNIE (`model.ernie`) the widths of the weights, where they differ."""
    import paddle

    for i, layer in enumerate(model.ernie.encoder.layers):
        attention, prefix = layer.self_attn, f"ernie.encoder.layers.{i}."
        inner = weights.get(f"{prefix}linear1.weight")
        query = weights.get(f"{prefix}self_attn.q_proj.weight")
        if query is not None and query.shape[1] != attention.num_heads * attention.head_dim:
            hidden, size = query.shape
            attention.num_heads = size // attention.head_dim
            for name in ("q_proj", "k_proj", "v_proj"):
                setattr(attention, name, paddle.nn.Linear(hidden, size))
            attention.out_proj = paddle.nn.Linear(size, hidden)
        if inner is not None and inner.shape[1] != layer.linear1.weight.shape[1]:
            layer.linear1 = paddle.nn.Linear(*inner.shape)
            layer.linear2 = paddle.nn.Linear(*inner.shape[::-1])
