"""What a run keeps on disk: its state, to go on from exactly, and the encoder, to use; each whole or not at all."""

from __future__ import annotations

import errno
import json
import os
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import BuildError, CheckpointError, ConfigError
from ..filesystem import find_whole, whole_folder
from .batches import Cursor

STATE, ENCODER, PROGRESS = "state", "encoder", "progress.json"


@dataclass
class Progress:
    """Where a run is."""

    step: int = 0
    tokens: int = 0
    seconds: float = 0.0
    cursor: Cursor = field(default_factory=Cursor)
    sums: dict[str, float] = field(default_factory=dict)  # since the last row of the log

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Progress:
        """What `vars` of it gave."""
        return cls(**{**raw, "cursor": Cursor(**raw["cursor"])})


def write_whole(folder: Path, write: Callable[[Path], None]) -> None:
    """Replace `folder` in one step by what `write` puts into an empty one; BuildError, with what is kept, where the
    disk is full."""
    try:
        with whole_folder(folder) as new:
            write(new)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EFBIG, errno.EDQUOT):
            raise
        kept = f"{folder} is kept as it was" if folder.exists() else "nothing was saved before"
        raise BuildError(
            f"{folder}: cannot be saved, {os.strerror(error.errno).lower()}: free some space and run the same command "
            f"again; {kept}"
        ) from None


def find_state(output: Path) -> Path | None:
    """The last whole state of a run; None where there is none."""
    folder = find_whole(output / STATE)
    return folder if folder is not None and (folder / PROGRESS).is_file() else None


def save_state(output: Path, parts: dict[str, Any], progress: Progress, settings: dict[str, Any], paddle: Any) -> None:
    """parts: name -> a state_dict."""

    def write(folder: Path) -> None:
        for name, value in parts.items():
            paddle.save(value, str(folder / f"{name}.pdparams"))
        text = json.dumps({"progress": {**vars(progress), "cursor": asdict(progress.cursor)}, "settings": settings})
        (folder / PROGRESS).write_text(text, encoding="utf-8")

    write_whole(output / STATE, write)


def read_progress(state: Path) -> tuple[Progress, dict[str, Any]]:
    """Where the run was, and its settings; CheckpointError."""
    try:
        raw = json.loads((state / PROGRESS).read_text(encoding="utf-8"))
        return Progress.from_json(raw["progress"]), raw["settings"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{state / PROGRESS}: cannot be read ({error})") from None


def load_parts(state: Path, parts: dict[str, Any], paddle: Any) -> None:
    """Put a state's weights and moments into the layer and the optimizer; parts: name -> what has set_state_dict."""
    for name, owner in parts.items():
        path = state / f"{name}.pdparams"
        try:
            found = paddle.load(str(path))
        except Exception as error:  # whatever Paddle's reader met
            raise CheckpointError(f"{path}: cannot be read ({error})") from None
        (owner.set_state_dict if hasattr(owner, "set_state_dict") else owner.load_state_dict)(found)


def check_same_run(output: Path, difference: str) -> None:
    """ConfigError where the folder holds a run with other settings."""
    if difference:
        raise ConfigError(
            f"--output {output}: holds a run with other settings ({difference}); give the same ones to go on with it, "
            "or another folder"
        )
