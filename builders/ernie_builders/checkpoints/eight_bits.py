"""Weights in 8 bits, in plain safetensors: int8 `NAME`, and beside it float32 `NAME_scale`; NAME is their product.

A linear layer [in, out] has a scale per output, `[1, out]`; a table of embeddings has one per row, `[rows, 1]`. The
largest weight of each becomes 127, and numbers are rounded to the nearest. Vectors and heads are float16.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import CheckpointError

Weights = dict[str, np.ndarray]
SCALE = "_scale"
LARGEST = 127


def to_eight_bits(weights: Weights) -> Weights:
    """The arrays to store for float weights under PaddleNLP's names. CheckpointError where one is not finite."""
    stored: Weights = {}
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise CheckpointError(f"{name}: has values that are not finite")
        if value.ndim == 2 and name.startswith("ernie."):
            largest = np.abs(value).max(axis=1 if "embeddings" in name else 0, keepdims=True)
            scale = (np.where(largest > 0, largest, 1) / LARGEST).astype(np.float32)
            stored[name] = np.rint(value / scale).astype(np.int8)
            stored[name + SCALE] = scale
        else:
            stored[name] = value.astype(np.float16)
    return stored


def from_eight_bits(stored: Weights, where: Path) -> Weights:
    """The weights of arrays as a file has them: int8 ones times their scales, float32; the others as they are.

    CheckpointError, beginning with `where`, for an int8 array without a scale, or one that does not fit.
    """
    weights: Weights = {}
    scaled = {name for name, value in stored.items() if value.dtype == np.int8}
    for name, value in stored.items():
        if name in scaled:
            scale = stored.get(name + SCALE)
            if scale is None:
                raise CheckpointError(f"{where}: {name} is int8 without {name}{SCALE}, its scales")
            try:
                weights[name] = value * scale.astype(np.float32)
            except ValueError:
                raise CheckpointError(
                    f"{where}: {name} is {list(value.shape)}, its scales are {list(scale.shape)}: they do not fit"
                ) from None
            if weights[name].shape != value.shape:
                raise CheckpointError(f"{where}: {name}{SCALE} is larger than {name}")
        elif name.removesuffix(SCALE) not in scaled:
            weights[name] = value
    return weights
