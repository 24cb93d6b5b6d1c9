"""The compact form of weights that ship: what fine-tuning changed, rounded to whole steps and packed.

A weight is stored as the whole number q = round((weight - base) / step + u) and read as base + (q - u) * step: a
uniform quantizer with subtractive dither (Roberts 1962; Gray and Stockham, Dithered Quantizers, 1993). u is noise
within half a step, which needs no storing: it is drawn from the tensor's name. With it the error is at most half a
step and does not depend on the weight. Without it all changes below half a step would be lost, and such errors add up
over a sentence, as one of many independent ones does not.

Steps differ by how much of a text an error touches (`plan`): what every token passes through is few weights, so that
fine steps cost little there. The numbers are mostly 0, -1 and 1: four go into a byte, for LZMA.
"""

from __future__ import annotations

import hashlib
import lzma
import math
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..errors import CheckpointError

# Steps of a tensor whose name has this part, in steps of the checkpoint: what changed the answers (Kullback-Leibler
# divergence of TNEWS and MSRA NER, from those of float32 weights) least at the same size.
COARSENESS = {
    "token_type_embeddings": 1 / 16,
    "task_type_embeddings": 1 / 16,
    "position_embeddings": 1 / 4,
    "v_proj.weight": 1 / 2,
    "linear1.weight": 1.4,
    "linear2.weight": 1.4,
}
OF_VECTORS = 1 / 16  # biases, layer norms
OF_HEADS = 1 / 16  # a task's own layers, but for one as large as a matrix of the encoder
SMALL_HEAD = 1 << 16
# Vocabularies are sorted by frequency, and a word's frequency falls with its rank (Zipf): its step is
# sqrt((rank + 1) / WORDS) of the tensor's, as the sum of errors over a text wants it, down to a 16th. FINEST, unlike
# the other choices, is not in the header of a checkpoint: it belongs to the format.
WORD_TABLE, WORDS, FINEST = "word_embeddings", 4000, 1 / 16
# Few matches are to be found in what is nearly noise; looking for more of them makes it slower and larger.
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
UNPACKING_MEMORY = 64 << 20  # bytes for LZMA's own tables
MOST_VALUES = 1 << 29  # the largest published ERNIE has 300 million
CRUMB, LARGEST = 3, 1 << 31  # what two bits hold; the rest of a larger number follows in four bytes


@dataclass(frozen=True)
class Reference:
    """Something a checkpoint needs and does not hold."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Tensor:
    """How one array is stored. sorted_rows: the step of row r < sorted_rows is smaller (`steps`)."""

    name: str
    shape: tuple[int, ...]
    step: float
    sorted_rows: int = 0

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)

    def steps(self) -> np.ndarray:
        """float64, such as goes with an array of the shape."""
        if not self.sorted_rows:
            return np.array(self.step)
        part = np.sqrt(np.arange(1, self.shape[0] + 1) / self.sorted_rows).clip(FINEST, 1)
        return self.step * part.reshape(-1, *[1] * (len(self.shape) - 1))

    def dither(self) -> np.ndarray:
        """float64 in [-0.5, 0.5): the legacy generator's stream never changes, whatever numpy's version."""
        return np.random.RandomState(zlib.crc32(self.name.encode())).random_sample(self.shape) - 0.5


@dataclass(frozen=True, kw_only=True)
class Delta:
    """Packed weights and all that is needed to read them."""

    base: Reference | None  # None: the weights themselves, not a difference
    vocabulary: Reference | None  # None: vocab.txt lies beside the weights
    step: float
    tensors: tuple[Tensor, ...]
    packed: bytes

    @property
    def values(self) -> int:
        """Number of weights."""
        return sum(tensor.size for tensor in self.tensors)


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, shapes and values (as float32), whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {list(value.shape)}\n".encode())
        digest.update(np.ascontiguousarray(value, "<f4").data)
    return digest.hexdigest()


def plan(name: str, shape: tuple[int, ...], step: float) -> Tensor:
    """The tensor's step, for a checkpoint with this one."""
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
    """Round and pack float weights; a weight that `base` lacks, or has in another shape, is stored as it is.

    The same input gives the same bytes. CheckpointError where a weight is not finite or too large for the step.
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
    """float32 weights by name; `base` is what the delta's reference names. CheckpointError begins with `where`."""
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
    found = (base or {}).get(tensor.name)
    return found if found is not None and found.shape == tensor.shape else 0.0


def _to_bytes(folded: np.ndarray) -> bytes:
    """Two bits a number, first number lowest; then of those that fill them the rest, plane by plane of its bytes."""
    crumbs = np.zeros(-(-len(folded) // 4) * 4, np.uint8)
    crumbs[: len(folded)] = np.minimum(folded, CRUMB)
    rest = (folded[folded >= CRUMB] - CRUMB).astype("<u4")
    quarters = crumbs.reshape(-1, 4) << np.array([0, 2, 4, 6], np.uint8)
    return np.bitwise_or.reduce(quarters, axis=1).tobytes() + rest.view(np.uint8).reshape(-1, 4).T.tobytes()


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
