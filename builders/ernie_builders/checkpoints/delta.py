"""The compact form in which the first checkpoints ship: what fine-tuning changed, rounded to a step and packed.

Only read, and to be deleted once the last checkpoint in this form has been trained again (adapter.py is what replaces
it): this module, delta_files.py, what checkpoint.py imports from both, and their tests.

A weight is stored as a whole number q and read as base + (q - u) * step: a uniform quantizer with subtractive dither
(Roberts 1962; Gray and Stockham, Dithered Quantizers, 1993). The dither u is noise within half a step, drawn from the
tensor's name. Four numbers are packed into a byte for LZMA.
"""

from __future__ import annotations

import lzma
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CheckpointError

# Vocabularies are sorted by frequency. The step of a word is the tensor's times sqrt((rank + 1) / sorted rows), at
# least this share of it.
FINEST = 1 / 16
UNPACKING_MEMORY = 64 << 20  # bytes for LZMA's tables
MAX_VALUES = 1 << 29  # the largest published ERNIE has 300 million weights
CRUMB = 3  # the largest two-bit number; what a larger number has beyond it follows in four bytes


@dataclass(frozen=True)
class Reference:
    """Something that a checkpoint needs and does not contain."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Tensor:
    """How one array is stored; rows before `sorted_rows` have smaller steps (`steps`)."""

    name: str
    shape: tuple[int, ...]
    step: float
    sorted_rows: int = 0

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def steps(self) -> np.ndarray:
        """The step of each value: float64, in a shape that broadcasts with the tensor."""
        if not self.sorted_rows:
            return np.array(self.step)
        share: np.ndarray = np.sqrt(np.arange(1, self.shape[0] + 1) / self.sorted_rows).clip(FINEST, 1)
        return self.step * share.reshape(-1, *[1] * (len(self.shape) - 1))

    def dither(self) -> np.ndarray:
        """float64 in [-0.5, 0.5), drawn by numpy's legacy generator, whose stream is the same in every version."""
        noise: np.ndarray = np.random.RandomState(zlib.crc32(self.name.encode())).random_sample(self.shape)
        return noise - 0.5


@dataclass(frozen=True, kw_only=True)
class Delta:
    """Packed weights, and what is needed to read them."""

    base: Reference | None  # None: the weights themselves, not a difference
    vocabulary: Reference | None  # None: vocab.txt lies beside the weights
    step: float
    tensors: tuple[Tensor, ...]
    packed: bytes

    @property
    def values(self) -> int:
        """Number of weights."""
        return sum(tensor.size for tensor in self.tensors)


def decode(delta: Delta, base: Mapping[str, np.ndarray] | None, where: Path | str) -> dict[str, np.ndarray]:
    """float32 weights by name; base: the weights that `delta.base` names. CheckpointError, beginning with `where`."""
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, UNPACKING_MEMORY)
    try:
        raw = unpacker.decompress(delta.packed, 5 * delta.values + 2)  # never more than these bytes in memory
        folded = _from_bytes(raw, delta.values)
    except (lzma.LZMAError, ValueError) as error:
        raise CheckpointError(f"{where}: not the weights that the header beside it tells of ({error})") from None
    weights, at = {}, 0
    for tensor in delta.tensors:
        part = folded[at : at + tensor.size].reshape(tensor.shape)
        at += tensor.size
        numbers = np.where(part & 1, -(part + 1 >> 1), part >> 1)
        change = (numbers - tensor.dither()) * tensor.steps()
        weights[tensor.name] = (_start(base, tensor) + change).astype(np.float32)
    return weights


def _start(base: Mapping[str, np.ndarray] | None, tensor: Tensor) -> np.ndarray | float:
    value = (base or {}).get(tensor.name)
    return value if value is not None and value.shape == tensor.shape else 0.0


def _from_bytes(raw: bytes, count: int) -> np.ndarray:
    """int64 [count] from two bits per number, the first lowest; what is beyond them follows, uint32 in planes of bytes.

    ValueError where the bytes are too few or too many.
    """
    data = np.frombuffer(raw, np.uint8)
    quarters, rest = data[: -(-count // 4)], data[-(-count // 4) :]
    crumbs = (quarters[:, None] >> np.array([0, 2, 4, 6], np.uint8) & CRUMB).ravel()[:count]
    folded = crumbs.astype(np.int64)
    large = crumbs == CRUMB
    planes = rest.reshape(4, np.count_nonzero(large))
    if len(folded) != count:
        raise ValueError(f"{len(folded):,} numbers, expected {count:,}")
    folded[large] += np.ascontiguousarray(planes.T).view("<u4").ravel()
    return folded
