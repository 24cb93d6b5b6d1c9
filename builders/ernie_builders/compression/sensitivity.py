"""Which parts of the encoder lose most in 8 bits: each alone is quantised, and the outputs compared with float's.

A part is the attention's four products of a layer, its feed-forward network's two, or the head.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ernie_runtime.engines import Engine

from ..console import bar
from .calibration import Feed

ATTENTION, FEED_FORWARD = 4, 2  # products with a constant matrix in a layer, in the order of the graph
Quantize = Callable[[Sequence[str]], Engine]
"""Takes the names of the nodes that stay in float; the quantised model, loaded."""


def parts(products: Sequence[str], layers: int) -> dict[str, list[str]]:
    """Part -> names of its nodes; products: those with a constant matrix, in the order of the graph.

    What comes behind the last layer is the head's.
    """
    found: dict[str, list[str]] = {}
    start = 0
    for layer in range(layers):
        for name, count in (("attention", ATTENTION), ("feed-forward", FEED_FORWARD)):
            found[f"layer {layer + 1} {name}"] = list(products[start : start + count])
            start += count
    if products[start:]:
        found["head"] = list(products[start:])
    return {name: nodes for name, nodes in found.items() if nodes}


def sensitivity(
    found: Mapping[str, Sequence[str]], quantize: Quantize, reference: Engine, feeds: Sequence[Feed]
) -> dict[str, float]:
    """Part -> error that it causes alone, the worst first: mean squared difference of outputs over their variance.

    feeds: windows apart from those that ranges are calibrated on.
    """
    wanted = [reference(feed) for feed in feeds]
    errors = {}
    with bar(len(found), "sensitivity", "part") as shown:
        for name in found:
            others = [node for other, nodes in found.items() if other != name for node in nodes]
            engine = quantize(others)
            errors[name] = _error([engine(feed) for feed in feeds], wanted)
            shown.update(1)
    return dict(sorted(errors.items(), key=lambda item: -item[1]))


def _error(ours: Sequence[Mapping[str, np.ndarray]], theirs: Sequence[Mapping[str, np.ndarray]]) -> float:
    worst = 0.0
    for name in theirs[0]:
        if theirs[0][name].dtype.kind != "f":
            continue
        a, b = (np.concatenate([row[name].reshape(-1) for row in rows]) for rows in (ours, theirs))
        worst = max(worst, float(np.mean((a - b) ** 2) / max(float(np.var(b)), 1e-12)))
    return worst
