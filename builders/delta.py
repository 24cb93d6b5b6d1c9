"""The compact form of weights that ship: what fine-tuning changed, rounded to whole steps and packed.

A weight is stored as q = round((weight - base) / step), a whole number, and read as base + q * step. One step for all
weights spends the bits where they lower the squared error most (reverse water-filling: Cover and Thomas, Elements of
Information Theory, 10.3.3); the whole numbers then go through LZMA, which comes within a tenth of their entropy.

Measured on the answers and not on the weights, two things differ from that textbook:
- An error in what every token passes through is the same error for all of them and does not average out. FINER
  names these weights; they are few, so that their bits hardly count.
- Rounding towards zero (a dead zone), or reading q as the mean of what was rounded to it, lowers the squared error and
  harms the answers: it makes all that fine-tuning learnt smaller. Hence plain rounding, plain reading.
"""

from __future__ import annotations

import hashlib
import json
import lzma
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CheckpointError

HEADER, PACKED = "delta.json", "delta.xz"
FORMAT = 1
# Steps of these weights are so many times finer; the first that is part of a name counts.
FINER = (("token_type_embeddings", 16), ("task_type_embeddings", 16), ("position_embeddings", 4), ("v_proj.weight", 2))
FINER_VECTOR = 16  # biases, layer norms
FINER_HEAD = 16  # a task's own layer, unless it is as large as a matrix of the encoder
SMALL_HEAD = 1 << 16
# The numbers have no structure beyond their frequencies: no literal contexts, no positions.
FILTERS = ({"id": lzma.FILTER_LZMA2, "preset": 1, "lc": 0, "lp": 0, "pb": 0},)
UNPACKING_MEMORY = 64 << 20  # bytes for LZMA's own tables
MOST_VALUES = 1 << 29  # the largest published ERNIE has 300 million
MOST_PLANES = 4


@dataclass(frozen=True)
class Reference:
    """Something a checkpoint needs and does not hold."""

    name: str
    sha256: str


@dataclass(frozen=True)
class Tensor:
    """One array of whole numbers: `planes` runs of bytes, the lowest bytes first."""

    name: str
    shape: tuple[int, ...]
    step: float
    planes: int

    @property
    def size(self) -> int:
        """Number of values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
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
        digest.update(np.ascontiguousarray(value, "<f4"))
    return digest.hexdigest()


def encode(
    weights: Mapping[str, np.ndarray],
    step: float,
    base: Mapping[str, np.ndarray] | None = None,
    base_name: str = "",
    vocabulary: Reference | None = None,
) -> Delta:
    """Round and pack float weights; a weight that `base` lacks, or has in another shape, is stored as it is.

    Reading gives float32 values at most half a step (of their tensor: see FINER) away. The same input gives the same
    bytes. CheckpointError where a weight is not finite or too large for the step.
    """
    tensors, planes = [], []
    for name, value in sorted(weights.items()):
        start = (base or {}).get(name)
        change = value.astype(np.float64)
        if start is not None and start.shape == value.shape:
            change -= start
        own_step = step / _finer(name, value)
        steps = np.rint(change / own_step)
        largest = float(np.abs(steps).max(initial=0))
        if not largest < 1 << 30:
            raise CheckpointError(f"{name}: {largest * own_step:.3g} cannot be stored in steps of {own_step:.3g}")
        whole = steps.astype(np.int64).ravel()
        folded = np.where(whole < 0, -2 * whole - 1, 2 * whole)  # 0, -1, 1, -2, ... -> 0, 1, 2, 3, ...
        count = max(1, (int(folded.max(initial=0)).bit_length() + 7) // 8)
        planes += [(folded >> 8 * plane).astype(np.uint8).tobytes() for plane in range(count)]
        tensors.append(Tensor(name, value.shape, own_step, count))
    packed = lzma.compress(b"".join(planes), lzma.FORMAT_XZ, lzma.CHECK_NONE, filters=FILTERS)
    reference = None if base is None else Reference(base_name, fingerprint(base))
    return Delta(reference, vocabulary, step, tuple(tensors), packed)


def _finer(name: str, value: np.ndarray) -> int:
    if not name.startswith("ernie.") and value.size < SMALL_HEAD:
        return FINER_HEAD
    return next((times for part, times in FINER if part in name), FINER_VECTOR if value.ndim == 1 else 1)


def decode(delta: Delta, base: Mapping[str, np.ndarray] | None, where: Path | str) -> dict[str, np.ndarray]:
    """float32 weights by name; `base` is what the delta's reference names. CheckpointError with `where`."""
    expected = sum(tensor.size * tensor.planes for tensor in delta.tensors)
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, UNPACKING_MEMORY)
    try:
        raw = unpacker.decompress(delta.packed, expected + 1)
    except lzma.LZMAError as error:
        raise CheckpointError(f"{where}: cannot be unpacked ({error}): the file is damaged") from None
    if len(raw) != expected or not unpacker.eof:
        raise CheckpointError(f"{where}: does not hold the {expected:,} bytes that {HEADER} tells of")
    weights, at = {}, 0
    for tensor in delta.tensors:
        folded = np.zeros(tensor.size, np.int64)
        for plane in range(tensor.planes):
            folded |= np.frombuffer(raw, np.uint8, tensor.size, at).astype(np.int64) << 8 * plane
            at += tensor.size
        value = np.where(folded & 1, -(folded + 1 >> 1), folded >> 1) * tensor.step
        value = value.reshape(tensor.shape)
        start = (base or {}).get(tensor.name)
        if start is not None and start.shape == tensor.shape:
            value += start
        weights[tensor.name] = value.astype(np.float32)
    return weights


def write_delta(folder: Path, delta: Delta) -> None:
    """HEADER, which a person can read, and PACKED."""
    head = {
        "format": FORMAT,
        "base": delta.base and asdict(delta.base),
        "vocabulary": delta.vocabulary and asdict(delta.vocabulary),
        "step": delta.step,
        "bytes": len(delta.packed),
        "sha256": hashlib.sha256(delta.packed).hexdigest(),
    }
    rows = [json.dumps([t.name, list(t.shape), t.step, t.planes], ensure_ascii=False) for t in delta.tensors]
    lines = [f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False)}" for key, value in head.items()]
    lines.append('"tensors": [\n  ' + ",\n  ".join(rows) + "\n ]")
    (folder / PACKED).write_bytes(delta.packed)
    (folder / HEADER).write_text("{\n " + ",\n ".join(lines) + "\n}\n", encoding="utf-8")


def read_delta(folder: Path) -> Delta:
    """What `write_delta` wrote; CheckpointError where it is damaged or not such a thing."""
    path = folder / HEADER
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(raw, dict) or raw.get("format") != FORMAT:
            raise ValueError(f"expected a JSON object of format {FORMAT}")
        base, vocabulary = (raw[key] and Reference(**raw[key]) for key in ("base", "vocabulary"))
        tensors = tuple(_tensor(*row) for row in raw["tensors"])
        size, sha256, step = int(raw["bytes"]), str(raw["sha256"]), float(raw["step"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: not a header of packed weights ({type(error).__name__}: {error})") from None
    if sum(tensor.size for tensor in tensors) > MOST_VALUES:
        raise CheckpointError(f"{path}: tells of more than {MOST_VALUES:,} weights")
    data = folder / PACKED
    if not data.is_file():
        raise CheckpointError(f"{data}: no such file, and {HEADER} beside it needs it")
    if data.stat().st_size != size:
        raise CheckpointError(f"{data}: {data.stat().st_size:,} bytes, {HEADER} tells of {size:,}: copy the file again")
    packed = data.read_bytes()
    if hashlib.sha256(packed).hexdigest() != sha256:
        raise CheckpointError(f"{data}: damaged (its SHA-256 is not the one in {HEADER}): copy the file again")
    return Delta(base, vocabulary, step, tensors, packed)


def _tensor(name: Any, shape: Any, step: Any, planes: Any) -> Tensor:
    tensor = Tensor(str(name), tuple(int(size) for size in shape), float(step), int(planes))
    if min(tensor.shape, default=1) < 0 or not 0 < tensor.step < math.inf or not 0 < tensor.planes <= MOST_PLANES:
        raise ValueError(f"tensor {name}: shape {shape}, step {step}, {planes} planes")
    return tensor
