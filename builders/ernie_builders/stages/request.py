"""What a build was asked to do."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ..config.tasks import TASKS_FILE, DataConfig
from ..presets.overrides import Overrides

STAGES = ("data", "finetune", "export", "evaluate", "publish")  # what --until takes


@dataclass(frozen=True, kw_only=True)
class BuildRequest:
    """The command line of a build, checked as far as it can be without the tasks file."""

    tasks: tuple[str, ...] | None = None  # names; None: all of the tasks file, or those that the preset is for
    tasks_file: Path = TASKS_FILE
    profile: str = "demo"  # demo: publish the checkpoints that ship; full: train on `data_dir`
    data_dir: Path | None = None  # has a folder or archive for each task; None: the sample, or see `data_home`
    overrides: Overrides = field(default_factory=Overrides)  # of the tasks file
    checkpoints: Mapping[str, Path] = field(default_factory=dict)  # task -> fine-tuned checkpoint to publish
    output: Path = Path("model_repository")
    cache: Path = Path("build")  # of finished stages
    device: str = "cpu"  # cpu, gpu or gpu:N
    devices: str = ""  # several for fine-tuning: "0,1"
    seed: int = 0
    until: str = STAGES[-1]  # the last stage
    force: bool = False  # also publish what the gate refuses
    compat: str = ""  # ensembles for other projects' clients, see `compat.choice.choose`
    dry_run: bool = False  # print the plan and do nothing

    def data_home(self, data: DataConfig) -> Path | None:
        """The folder that `data.folder` is looked for in: --data-dir, or that of the user's tasks file if it is there.

        None: neither, so that only a sample may do.
        """
        if self.data_dir is not None or self.tasks_file == TASKS_FILE:
            return self.data_dir
        beside = self.tasks_file.parent
        return beside if (beside / data.folder).is_dir() else None
