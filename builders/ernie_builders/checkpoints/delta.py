"""The compact form of weights that ship: what fine-tuning changed, rounded to multiples of a step and packed.

A weight is stored as the whole number q = round((weight - base) / step + u) and read as base + (q - u) * step: a
uniform quantizer with subtractive dither (Roberts 1962; Gray and Stockham, Dithered Quantizers, 1993). The dither u is
noise within half a step that need not be stored: it is drawn from the tensor's name. With dither the error is at most
half a step and independent of the weight. Without it all changes below half a step would be lost, and these errors
would add up over a sentence.

The step of a tensor depends on how much of a text an error touches (`plan`): the weights that every token passes
through are few, so fine steps cost little there. Most numbers are 0, -1 or 1: four are packed into a byte for LZMA.
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
from .weight_formats import fingerprint

# Step of a tensor with this part in its name, as a multiple of the checkpoint's step: what changed the answers least at
# the same size (Kullback-Leibler divergence from the answers of float32 weights, for TNEWS and MSRA NER).
COARSENESS = {
    "token_type_embeddings": 1 / 16,
    "task_type_embeddings": 1 / 16,
    "position_embeddings": 1 / 4,
    "v_proj.weight": 1 / 2,
    "linear1.weight": 1.4,
    "linear2.weight": 1.4,
}
OF_VECTORS = 1 / 16  # biases, layer norms
OF_HEADS = 1 / 16  # the task head's layers, unless one is as large as a matrix of the encoder
SMALL_HEAD = 1 << 16
# Vocabularies are sorted by frequency, which falls with a word's rank (Zipf's law). The step of a word is the tensor's
# times sqrt((rank + 1) / WORDS), at least a 16th, which minimizes the sum of errors over a text. FINEST, unlike the
# other choices, is not in the header of a checkpoint: it is part of the format.
WORD_TABLE, WORDS, FINEST = "word_embeddings", 4000, 1 / 16
# The numbers are nearly noise, with few matches to find; searching for more of them is slower and compresses less.
FILTERS = (
    {
        "id": lzma.FILTER_LZMA2,
        "mode": lzma.MODE_NORMAL,
        "mf": lzma.MF_HC4,
        "nice_len": 273,
        "depth": 1,
        "dict_size": 1 << 16,
        "lc": 0,
        "lp": 0,
        "pb": 0,
    },
)
UNPACKING_MEMORY = 64 << 20  # bytes for LZMA's tables
MAX_VALUES = 1 << 29  # the largest published ERNIE has 300 million weights
CRUMB, LARGEST = 3, 1 << 31  # the largest two-bit number; what a larger number has beyond it follows in four bytes


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


def plan(name: str, shape: tuple[int, ...], step: float) -> Tensor:
    """How to store a tensor of a checkpoint with this step."""
    if not name.startswith("ernie.") and math.prod(shape) < SMALL_HEAD:
        return Tensor(name, shape, step * OF_HEADS)
    if WORD_TABLE in name:
        return Tensor(name, shape, step, min(WORDS, shape[0]))
    coarseness = next((times for part, times in COARSENESS.items() if part in name), 1)
    return Tensor(name, shape, step * (OF_VECTORS if len(shape) == 1 else coarseness))


def encode(
    weights: Mapping[str, np.ndarray],
    step: float,
    base: Mapping[str, np.ndarray] | None = None,
    base_name: str = "",
    vocabulary: Reference | None = None,
) -> Delta:
    """Round and pack float weights; a tensor that `base` lacks, or has in another shape, is stored in full.

    The same input gives the same bytes. CheckpointError where a weight is not finite, or too large for the step.
    """
    tensors = tuple(plan(name, value.shape, step) for name, value in sorted(weights.items()))
    folded = np.zeros(sum(tensor.size for tensor in tensors), np.int64)
    at = 0
    for tensor in tensors:
        change = weights[tensor.name].astype(np.float64) - _start(base, tensor)
        numbers = np.rint(change / tensor.steps() + tensor.dither())
        if not np.abs(numbers).max(initial=0) < LARGEST // 2:
            raise CheckpointError(f"{tensor.name}: has a value that steps of {tensor.step:.3g} do not reach")
        whole = numbers.astype(np.int64).ravel()
        folded[at : at + tensor.size] = np.where(whole < 0, -2 * whole - 1, 2 * whole)  # 0, -1, 1, -2 -> 0, 1, 2, 3
        at += tensor.size
    packed = lzma.compress(_to_bytes(folded), lzma.FORMAT_XZ, lzma.CHECK_NONE, filters=FILTERS)
    reference = None if base is None else Reference(base_name, fingerprint(base))
    return Delta(base=reference, vocabulary=vocabulary, step=step, tensors=tensors, packed=packed)


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


def _to_bytes(folded: np.ndarray) -> bytes:
    """Two bits per number, the first number lowest; then what is beyond two bits, as uint32 in planes of bytes."""
    crumbs = np.zeros(-(-len(folded) // 4) * 4, np.uint8)
    crumbs[: len(folded)] = np.minimum(folded, CRUMB)
    rest = (folded[folded >= CRUMB] - CRUMB).astype("<u4")
    quarters = crumbs.reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8)
    packed: np.ndarray = np.bitwise_or.reduce(quarters, axis=1)
    return packed.tobytes() + rest.view(np.uint8).reshape(-1, 4).T.tobytes()


def _from_bytes(raw: bytes, count: int) -> np.ndarray:
    """int64 [count]; ValueError where the bytes are too few or too many."""
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
