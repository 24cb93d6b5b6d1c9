"""safetensors in several files with Hugging Face's index, so that no file is larger than a checkout may hold."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import CheckpointError

SINGLE, INDEX = "model.safetensors", "model.safetensors.index.json"
SHARDS = "model-*-of-*.safetensors"
LIMIT = 15_900_000  # bytes of the arrays in a file, which has a header besides


def write_shards(folder: Path, arrays: Mapping[str, np.ndarray], limit: int | None = None) -> None:
    """Write model.safetensors, or where that would be larger than `limit` bytes shards and their index.

    limit: None for a single file of any size. An array that is larger alone has a file of its own.
    """
    from safetensors.numpy import save

    for path in (folder / SINGLE, folder / INDEX, *folder.glob(SHARDS)):
        path.unlink(missing_ok=True)
    shards: list[dict[str, np.ndarray]] = [{}]
    size = 0
    for name, value in sorted(arrays.items()):
        if limit is not None and shards[-1] and size + value.nbytes > limit:
            shards.append({})
            size = 0
        shards[-1][name] = np.ascontiguousarray(value)
        size += value.nbytes
    names = [f"model-{i:05}-of-{len(shards):05}.safetensors" for i in range(1, len(shards) + 1)]
    names = [SINGLE] if len(shards) == 1 else names
    for file, shard in zip(names, shards, strict=True):
        # Not save_file, whose own error for a full disk does not name the file.
        (folder / file).write_bytes(save(shard, {"format": "pt"}))
    if len(shards) > 1:
        weight_map = {name: file for file, shard in zip(names, shards, strict=True) for name in shard}
        total = sum(value.nbytes for value in arrays.values())
        index = {"metadata": {"total_size": total}, "weight_map": weight_map}
        (folder / INDEX).write_text(json.dumps(index, indent=1) + "\n", encoding="utf-8")


def shards_of(index: Path) -> dict[Path, list[str]]:
    """File -> the names of its arrays, as an index says; CheckpointError where it cannot be used."""
    try:
        weight_map: object = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{index}: not an index of weight files ({type(error).__name__}: {error})") from None
    if not isinstance(weight_map, dict) or not weight_map:
        raise CheckpointError(f"{index}: not an index of weight files (weight_map is no object with entries)")
    shards: dict[Path, list[str]] = {}
    for name, file in weight_map.items():
        if not isinstance(file, str) or Path(file).name != file:
            raise CheckpointError(f"{index}: says that {name} is in {file!r}, which is no file beside it")
        shards.setdefault(index.parent / file, []).append(name)
    for path in shards:
        if not path.is_file():
            raise CheckpointError(f"{index}: names {path.name}, which is not there: copy the checkpoint again")
    return shards
