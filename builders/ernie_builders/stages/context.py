"""What a build is to do with one task, with its weights and data: the input of every stage."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ernie_runtime.manifest import Evaluation

from ..checkpoints.checkpoint import Checkpoint
from ..config.tasks import TaskConfig
from ..config.variants import FULL, Recipe


@dataclass(frozen=True, kw_only=True)
class Card:
    """What is used of the card of a checkpoint that ships."""

    base_model: str = ""
    evaluations: Sequence[Evaluation] = ()


@dataclass(frozen=True, kw_only=True)
class Context:
    """What a build is to do with one task, with its weights and data."""

    task: TaskConfig
    profile: str
    source: Checkpoint  # the base model to fine-tune, or the fine-tuned checkpoint to publish
    ready: bool  # the source is fine-tuned and published without training
    data_folder: Path | None  # with the task's train and dev files; None if there is no data
    data_split: str  # "dev", or "sample" for the small set that ships
    output: Path
    cache: Path
    device: str = "cpu"
    devices: str = ""  # several devices for fine-tuning: "0,1"
    seed: int = 0
    card: Card = field(default_factory=Card)  # of a checkpoint that ships
    transfer_folders: Mapping[str, Path] = field(default_factory=dict)  # of the transfer sets that are at hand
    force: bool = False  # also publish what the gate refuses
    pick: str = FULL.name  # the variant behind the task's plain name
    recipe: Recipe = FULL  # of the variant that the stage is about
