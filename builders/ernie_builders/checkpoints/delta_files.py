"""The files of packed weights (checkpoints/delta.py): a header that people can read, and the bytes."""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import CheckpointError
from .delta import MAX_VALUES, Delta, Reference, Tensor

HEADER, PACKED = "delta.json", "delta.xz"
FORMAT = 1  # raise it when the same files would be read as different weights


@dataclass(frozen=True, kw_only=True)
class Header:
    """What HEADER says."""

    base: Reference | None
    vocabulary: Reference | None
    step: float
    size: int  # of PACKED, in bytes
    sha256: str  # of PACKED
    tensors: tuple[Tensor, ...]


def read_header(folder: Path) -> Header:
    """HEADER alone; CheckpointError where it cannot be read or has another format."""
    path = folder / HEADER
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
        if raw["format"] != FORMAT:
            raise CheckpointError(f"{path}: has format {raw['format']!r}, this version reads {FORMAT}")
        base, vocabulary = (raw[key] and Reference(**raw[key]) for key in ("base", "vocabulary"))
        tensors = tuple(_tensor(*row) for row in raw["tensors"])
        size, sha256, step = int(raw["bytes"]), str(raw["sha256"]), float(raw["step"])
    except (ValueError, TypeError, KeyError) as error:
        raise CheckpointError(f"{path}: not a header of packed weights ({type(error).__name__}: {error})") from None
    if sum(tensor.size for tensor in tensors) > MAX_VALUES:
        raise CheckpointError(f"{path}: tells of more than {MAX_VALUES:,} weights")
    return Header(base=base, vocabulary=vocabulary, step=step, size=size, sha256=sha256, tensors=tensors)


def read_delta(folder: Path) -> Delta:
    """What `write_delta` wrote; CheckpointError where a file is missing, damaged or of another kind."""
    header, path = read_header(folder), folder / PACKED
    if not path.is_file():
        raise CheckpointError(f"{path}: no such file, but {HEADER} is there")
    size = path.stat().st_size
    if size != header.size:
        raise CheckpointError(
            f"{path}: has {size:,} bytes, {HEADER} tells of {header.size:,}; copy the checkpoint again"
        )
    packed = path.read_bytes()
    if hashlib.sha256(packed).hexdigest() != header.sha256:
        raise CheckpointError(f"{path}: damaged, its hash is not the one in {HEADER}; copy the checkpoint again")
    return Delta(
        base=header.base, vocabulary=header.vocabulary, step=header.step, tensors=header.tensors, packed=packed
    )


def _tensor(name: Any, shape: Any, step: Any, sorted_rows: Any) -> Tensor:
    tensor = Tensor(str(name), tuple(int(size) for size in shape), float(step), int(sorted_rows))
    if min(tensor.shape, default=1) < 0 or not 0 < tensor.step < math.inf or tensor.sorted_rows < 0:
        raise ValueError(f"tensor {name} has shape {shape}, step {step}, sorted rows {sorted_rows}")
    if tensor.sorted_rows and not tensor.shape:
        raise ValueError(f"tensor {name} has no rows to be sorted")
    return tensor
