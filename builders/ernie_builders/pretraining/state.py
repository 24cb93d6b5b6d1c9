"""What the saved state of a pre-training says besides weights, and whether a run may resume it."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path

from ernie_runtime.json_types import Json, JsonObject

from ..errors import ConfigError
from ..training.loop import Progress
from ..training.state import read_progress
from .batches import Cursor

ENCODER = "encoder"  # the folder with the result, beside the state


@dataclass(kw_only=True)
class PretrainingProgress(Progress):
    """How far a pre-training is."""

    tokens: int = 0  # of all processes, special ones included
    cursor: Cursor = field(default_factory=Cursor)
    sums: dict[str, float] = field(default_factory=dict)  # of figures, since the last row of the log

    def to_json(self) -> JsonObject:
        """As JSON data."""
        return asdict(self)

    @classmethod
    def from_json(cls, saved: Json) -> PretrainingProgress:
        """What `to_json` gave."""
        return cls(**{**saved, "cursor": Cursor(**saved["cursor"])})


def step_of(state: Path) -> int:
    """The step after which a state was saved; CheckpointError if it cannot be read."""
    return PretrainingProgress.from_json(read_progress(state)["progress"]).step


def check_same_run(output: Path, difference: str) -> None:
    """ConfigError if the folder holds a run with other settings."""
    if difference:
        raise ConfigError(
            f"--output {output}: holds a run with other settings ({difference}); give the same ones to go on with it, "
            "or another folder"
        )
