"""Width and depth pruning: whole attention heads, FFN neurons and layers that matter least are cut out.

Source: DynaBERT (Hou et al. 2020): the importance of a head or neuron is |sum of gradient x weight|, the first-order
change of a batch's loss without it, summed over batches of texts apart from those that are measured. Unlike
PaddleNLP's implementation every width starts from the full model, never from an already pruned one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from ..checkpoints.checkpoint import Weights
from ..errors import ConfigError

LAYER = re.compile(r"ernie\.encoder\.layers\.(\d+)\.(.+)")
QKV = tuple(f"self_attn.{name}_proj" for name in "qkv")
ROUNDED = 0.005  # widths are named with two digits
Importance = list[tuple[np.ndarray, np.ndarray]]
"""For each layer: float64 of each head, float64 of each FFN neuron."""


def layer_count(weights: Mapping[str, np.ndarray]) -> int:
    """Layers of the encoder."""
    return 1 + max(int(match.group(1)) for name in weights if (match := LAYER.match(name)))


def heads_of(weights: Mapping[str, np.ndarray], layer: int, head_size: int) -> int:
    """Attention heads that a layer has, from the shape of its weights."""
    return int(weights[f"ernie.encoder.layers.{layer}.self_attn.q_proj.weight"].shape[1]) // head_size


def check_width(width: float, heads: int, neurons: int) -> None:
    """ConfigError where a part of the heads or neurons is no whole number; 0.67 is two thirds of 12."""
    if abs(width * heads - round(width * heads)) > ROUNDED * heads or round(width * heads) < 1:
        whole = ", ".join(f"w{n / heads:.2g}" for n in range(1, heads))
        raise ConfigError(f"width {width:g} of {heads} attention heads is no whole number of heads; possible: {whole}")
    if round(width * neurons) < 1:
        raise ConfigError(f"width {width:g} of {neurons} FFN neurons leaves none")


def add_importance(total: Importance, layers: Iterable[Any], head_size: int) -> Importance:
    """Add one backward pass's gradients; layers: Paddle's TransformerEncoderLayers. Passes add up by size."""
    for i, layer in enumerate(layers):
        if i == len(total):
            total.append((np.zeros(1), np.zeros(1)))
        heads, neurons = total[i]
        out = layer.self_attn.out_proj.weight  # [heads x head_size, hidden]
        by_row = (out.grad.numpy().astype(np.float64) * out.numpy()).sum(1)
        inner = layer.linear2.weight  # [neurons, hidden]
        by_neuron = (inner.grad.numpy().astype(np.float64) * inner.numpy()).sum(1)
        total[i] = heads + np.abs(by_row.reshape(-1, head_size).sum(1)), neurons + np.abs(by_neuron)
    return total


def narrowed(weights: Weights, importance: Importance, width: float, head_size: int) -> Weights:
    """The weights of the `width` most important heads and neurons of every layer; all other weights as they are.

    ConfigError where the width is no whole number of heads. The kept ones stay in their order.
    """
    result = dict(weights)
    for i, (heads, neurons) in enumerate(importance):
        check_width(width, len(heads), len(neurons))
        count = round(width * len(heads))
        kept = np.sort(np.argsort(-heads, kind="stable")[:count])
        rows = (kept[:, None] * head_size + np.arange(head_size)).reshape(-1)
        cells = np.sort(np.argsort(-neurons, kind="stable")[: round(count / len(heads) * len(neurons))])
        at = f"ernie.encoder.layers.{i}."
        for part in QKV:
            result[f"{at}{part}.weight"] = weights[f"{at}{part}.weight"][:, rows]
            result[f"{at}{part}.bias"] = weights[f"{at}{part}.bias"][rows]
        result[f"{at}self_attn.out_proj.weight"] = weights[f"{at}self_attn.out_proj.weight"][rows]
        result[f"{at}linear1.weight"] = weights[f"{at}linear1.weight"][:, cells]
        result[f"{at}linear1.bias"] = weights[f"{at}linear1.bias"][cells]
        result[f"{at}linear2.weight"] = weights[f"{at}linear2.weight"][cells]
    return {name: np.ascontiguousarray(value) for name, value in result.items()}


def layers_kept(count: int, depth: int) -> list[int]:
    """Which of `count` layers stay, the last among them, evenly spread; ConfigError where there are too few."""
    if not 0 < depth <= count:
        raise ConfigError(f"depth {depth}: the model has {count} layers")
    return [round((i + 1) * count / depth) - 1 for i in range(depth)]


def shallower(weights: Weights, depth: int) -> Weights:
    """The weights with `depth` layers, numbered anew."""
    kept = {old: new for new, old in enumerate(layers_kept(layer_count(weights), depth))}
    result = {}
    for name, value in weights.items():
        match = LAYER.match(name)
        if match is None:
            result[name] = value
        elif int(match.group(1)) in kept:
            result[f"ernie.encoder.layers.{kept[int(match.group(1))]}.{match.group(2)}"] = value
    return result


def fit_width(model: Any, weights: Mapping[str, np.ndarray]) -> None:
    """Give the layers of a Paddle ERNIE (`model.ernie`) the widths that the weights have; nothing where they fit."""
    import paddle

    for i, layer in enumerate(model.ernie.encoder.layers):
        attention, at = layer.self_attn, f"ernie.encoder.layers.{i}."
        inner = weights.get(f"{at}linear1.weight")
        query = weights.get(f"{at}self_attn.q_proj.weight")
        if query is not None and query.shape[1] != attention.num_heads * attention.head_dim:
            hidden, size = query.shape
            attention.num_heads = size // attention.head_dim
            for name in ("q_proj", "k_proj", "v_proj"):
                setattr(attention, name, paddle.nn.Linear(hidden, size))
            attention.out_proj = paddle.nn.Linear(size, hidden)
        if inner is not None and inner.shape[1] != layer.linear1.weight.shape[1]:
            layer.linear1 = paddle.nn.Linear(*inner.shape)
            layer.linear2 = paddle.nn.Linear(*inner.shape[::-1])
