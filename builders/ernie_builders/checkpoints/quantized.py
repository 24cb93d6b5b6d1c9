"""Weights in 8 or 4 bits, in plain safetensors: `NAME`, and beside it its scales, `NAME_scale`.

8 bits: int8, and float32 scales; NAME is their product. A linear layer [in, out] has a scale per output, `[1, out]`; a
table of embeddings and an adapter's `lora_B` one per row, `[rows, 1]`. The largest weight of each becomes 127.

4 bits: uint8 with two numbers each, for linear layers and the word table. What feeds one output, or a row of the
table, is cut into blocks of 32 numbers with a float16 scale, as in ggml's Q4_0: a number is (n - 8) * scale, n from 0
to 15, and the largest of a block is 8 scales. Byte i of a block holds its numbers i (low bits) and i + 16. A linear
layer [in, out] is uint8 [out, in / 2] with scales [out, in / 32]. Weights that were stored so before come back exactly.

Numbers are rounded to the nearest. What has neither form, vectors and heads, is float16.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ..errors import CheckpointError

Weights = dict[str, np.ndarray]
SCALE = "_scale"
WORDS = "word_embeddings.weight"
ROWS = ".lora_B"  # an adapter's second matrix, [r, out]: its rows are what its r directions write
LARGEST = 127
BLOCK = 32


def quantize(weights: Weights, bits: int) -> Weights:
    """The arrays to store for float weights under PaddleNLP's names; bits: 8 or 4.

    CheckpointError where a weight is not finite, or in 4 bits cannot be cut into blocks.
    """
    stored: Weights = {}
    for name, value in weights.items():
        if not np.isfinite(value).all():
            raise CheckpointError(f"{name}: has values that are not finite")
        is_matrix = value.ndim == 2 and name.startswith("ernie.")
        if bits == 4 and is_matrix and (name.endswith(WORDS) or "embeddings" not in name):
            stored[name], stored[name + SCALE] = _four_bits(name, value if name.endswith(WORDS) else value.T)
        elif bits == 8 and is_matrix:
            largest = np.abs(value).max(axis=1 if "embeddings" in name or name.endswith(ROWS) else 0, keepdims=True)
            scale = (np.where(largest > 0, largest, 1) / LARGEST).astype(np.float32)
            stored[name], stored[name + SCALE] = np.rint(value / scale).astype(np.int8), scale
        else:
            stored[name] = value.astype(np.float16)
    return stored


def _four_bits(name: str, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    if rows.shape[1] % BLOCK:
        raise CheckpointError(f"{name}: {rows.shape[1]} numbers are no whole blocks of {BLOCK}: store it in 8 bits")
    blocks = rows.reshape(len(rows), -1, BLOCK)
    extreme = np.take_along_axis(blocks, np.abs(blocks).argmax(axis=2, keepdims=True), axis=2)
    scale = (extreme / -8).astype(np.float16)
    steps = np.where(scale == 0, 1, scale).astype(np.float32)
    numbers = np.clip(np.rint(blocks / steps) + 8, 0, 15).astype(np.uint8)
    half = BLOCK // 2
    packed = numbers[:, :, :half] | numbers[:, :, half:] << 4
    return packed.reshape(len(rows), -1), scale[:, :, 0]


def dequantize(stored: Weights, where: Path) -> Weights:
    """The weights of arrays as a file has them: int8 and 4-bit ones as float32, the others as they are.

    CheckpointError, beginning with `where`, for an array without scales, or with such that do not fit.
    """
    weights: Weights = {}
    scaled = {name for name, value in stored.items() if value.dtype in (np.int8, np.uint8)}
    for name, value in stored.items():
        if name in scaled:
            scale = stored.get(name + SCALE)
            if scale is None:
                raise CheckpointError(f"{where}: {name} is {value.dtype} without {name}{SCALE}, its scales")
            expected = _scales_of(value)
            if scale.shape not in expected:
                raise CheckpointError(
                    f"{where}: {name} is {list(value.shape)}, its scales are {list(scale.shape)}: they do not fit"
                )
            scale = scale.astype(np.float32)
            weights[name] = value * scale if value.dtype == np.int8 else _from_four_bits(name, value, scale)
        elif name.removesuffix(SCALE) not in scaled:
            weights[name] = value
    return weights


def _scales_of(value: np.ndarray) -> list[tuple[int, ...]]:
    if value.ndim != 2:
        return []
    rows, columns = value.shape
    if value.dtype == np.int8:
        return [(1, columns), (rows, 1)]
    return [(rows, 2 * columns // BLOCK)] if 2 * columns % BLOCK == 0 else []


def _from_four_bits(name: str, packed: np.ndarray, scale: np.ndarray) -> np.ndarray:
    blocks = packed.reshape(len(packed), -1, BLOCK // 2)
    numbers = np.concatenate([blocks & 15, blocks >> 4], axis=2).astype(np.float32) - 8
    rows = (numbers * scale[:, :, None]).reshape(len(packed), -1)
    return rows if name.endswith(WORDS) else np.ascontiguousarray(rows.T)
