"""Which parts of the encoder lose most in 8 bits: each is quantized alone, and the outputs are compared with float.

A part is the four products of a layer's attention, the two of its feed-forward network, or the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ernie_runtime.engines import Engine

from ..console import bar
from .calibration import Feed

ATTENTION, FEED_FORWARD = 4, 2  # products with a constant matrix in a layer, in graph order
Quantize = Callable[[Sequence[str]], Engine]
"""Names of the nodes that stay in float -> the quantized model, loaded."""


def parts(products: Sequence[str], layers: int) -> dict[str, list[str]]:
    """Part -> names of its nodes. products: those with a constant matrix, in graph order.

    Nodes after the last layer belong to the head.
    """
    nodes_by_part: dict[str, list[str]] = {}
    start = 0
    for layer in range(layers):
        for name, count in (("attention", ATTENTION), ("feed-forward", FEED_FORWARD)):
            nodes_by_part[f"layer {layer + 1} {name}"] = list(products[start : start + count])
            start += count
    if products[start:]:
        nodes_by_part["head"] = list(products[start:])
    return {name: nodes for name, nodes in nodes_by_part.items() if nodes}


def sensitivity(
    nodes_by_part: Mapping[str, Sequence[str]], quantize: Quantize, reference: Engine, feeds: Sequence[Feed]
) -> dict[str, float]:
    """Part -> the error of quantizing it alone, largest first: mean squared difference of outputs over their variance.

    feeds: other windows than those for calibration.
    """
    expected = [reference(feed) for feed in feeds]
    errors = {}
    with bar(len(nodes_by_part), "sensitivity", "part") as shown:
        for name in nodes_by_part:
            float_nodes = [node for other, nodes in nodes_by_part.items() if other != name for node in nodes]
            engine = quantize(float_nodes)
            errors[name] = _error([engine(feed) for feed in feeds], expected)
            shown.update(1)
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def _error(outputs: Sequence[Mapping[str, np.ndarray]], expected: Sequence[Mapping[str, np.ndarray]]) -> float:
    largest = 0.0
    for name in expected[0]:
        if expected[0][name].dtype.kind != "f":
            continue
        values, expected_values = (
            np.concatenate([row[name].reshape(-1) for row in rows]) for rows in (outputs, expected)
        )
        largest = max(
            largest, float(np.mean((values - expected_values) ** 2) / max(float(np.var(expected_values)), 1e-12))
        )
    return largest
