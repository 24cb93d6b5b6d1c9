"""The state of a training on disk, whole or not there: weights, moments and progress, from which it resumes."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ernie_runtime.json_types import Json, JsonObject

from ..checkpoints.pickled_weights import read_paddle
from ..errors import BuildError, CheckpointError
from ..filesystem import find_whole, whole_folder
from ..framework import import_paddle

if TYPE_CHECKING:
    from paddle.amp import GradScaler
    from paddle.nn import Layer
    from paddle.optimizer import Optimizer

STATE, PROGRESS = "state", "progress.json"
DISK_FULL = (errno.ENOSPC, errno.EFBIG, errno.EDQUOT)
Parts = Mapping[str, "Layer | Optimizer | GradScaler"]
"""File name in a saved state -> the layer, optimizer or loss scaler whose state it holds."""


@contextmanager
def replaced_folder(folder: Path) -> Iterator[Path]:
    """An empty folder to fill, which then takes the place of `folder` in one step.

    If the disk is full: BuildError, which says what is kept.
    """
    try:
        with whole_folder(folder) as new:
            yield new
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        kept = f"{folder} is kept as it was" if folder.exists() else "nothing was saved before"
        raise BuildError(
            f"{folder}: cannot be saved, {os.strerror(error.errno).lower()}: free some space and run the same command "
            f"again; {kept}"
        ) from None


def find_state(output: Path) -> Path | None:
    """The folder of the last whole state; None if nothing was saved."""
    folder = find_whole(output / STATE)
    return folder if folder is not None and (folder / PROGRESS).is_file() else None


def save_state(output: Path, parts: Parts, progress: Json) -> None:
    """Replace the saved state. parts: file name -> what has `state_dict`; progress: JSON data."""
    paddle = import_paddle()
    with replaced_folder(output / STATE) as folder:
        for name, part in parts.items():
            paddle.save(part.state_dict(), str(folder / name))
        (folder / PROGRESS).write_text(json.dumps(progress), encoding="utf-8")


def read_progress(state: Path) -> JsonObject:
    """What `save_state` got as progress; CheckpointError."""
    try:
        progress: JsonObject = json.loads((state / PROGRESS).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise unreadable(state / PROGRESS, error) from None
    return progress


def load_parts(state: Path, parts: Parts) -> None:
    """Put saved weights and moments back into layers and optimizers; CheckpointError. parts: as in `save_state`."""
    paddle = import_paddle()
    for name, part in parts.items():
        try:
            value = _tensors(read_paddle(state / name), paddle.to_tensor)
        except Exception as error:  # whatever Paddle's reader met
            raise unreadable(state / name, error) from None
        (part.set_state_dict if hasattr(part, "set_state_dict") else part.load_state_dict)(value)


def _tensors(value: Any, to_tensor: Callable[[np.ndarray], Any]) -> Any:
    """With tensors for arrays."""
    if isinstance(value, dict):
        return {name: _tensors(each, to_tensor) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_tensors(each, to_tensor) for each in value)
    return to_tensor(value) if isinstance(value, np.ndarray) else value


def unreadable(path: Path, error: Exception) -> CheckpointError:
    """The error for a file of a state that is damaged or of another version."""
    return CheckpointError(f"{path}: cannot be read ({error})")
