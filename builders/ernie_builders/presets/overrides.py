"""What the command line changes in a task: --preset, --set, --base-model, --variants, --pick, --group and others."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace

from ernie_runtime.command_line import did_you_mean

from ..config.schema import parse_table
from ..config.tasks import TaskConfig
from ..config.train import TrainConfig
from ..config.variants import FULL, PICKS, CompressConfig, check_variants
from ..errors import ConfigError
from ..kinds import get_builder_kind
from ..readers import has_columns
from .loading import choice_for, load_presets
from .presets import SHIPPED, Choice

CANDIDATES = ("fp32", "fp32-ov", "int8", "int8-e8-ort")  # what --pick chooses from if no variants are named
TRAINED = ("w0.5", "w0.5-int8-e8-ort")  # further candidates if the profile may train


@dataclass(frozen=True, kw_only=True)
class Overrides:
    """What the command line sets in place of the tasks file."""

    base_model: str = ""  # empty: the task's own
    preset: str = ""  # name of a preset, `published` or `shipped`
    hyperparameters: Mapping[str, str] = field(default_factory=dict)  # of --set: field of TrainConfig -> JSON
    variants: tuple[str, ...] = ()  # empty: the task's own
    pick: str = ""  # the variant behind the plain name: its name, fastest or smallest; empty: fp32
    max_drop: float | None = None  # points of the main metric that a variant may lose; None: as the task has it
    group: str = ""  # column whose rows are held out together; empty: the task's own

    def choice(self, task: str, base_model: str) -> Choice | None:
        """The preset's hyperparameters for a task and its base model; None if it has none."""
        return choice_for(self.preset, task, self.base_model or base_model)

    def apply(self, task: TaskConfig, profile: str) -> TaskConfig:
        """The task with these changes; ConfigError, naming the option, for one that does not fit."""
        choice = self.choice(task.name, task.base_model)
        task = choice.apply(task) if choice else task
        if self.preset == SHIPPED:
            task = load_presets().shipped.apply(task)
        task = self._with_variants(task, profile)
        if self.max_drop is not None:
            compress = {**vars(task.compress), "max_drop": self.max_drop}
            task = replace(task, compress=parse_table(CompressConfig, compress, "--max-drop"))
        if self.group:
            task = self._with_group(task)
        values = {name: json.loads(value) for name, value in self.hyperparameters.items()}
        return replace(task, train=parse_table(TrainConfig, {**vars(task.train), **values}, "--set"))

    def picks_candidates(self, task: TaskConfig) -> bool:
        """Whether --pick chooses from CANDIDATES, as neither the command line nor the task names variants."""
        return self.pick in PICKS and not self.variants and task.variants == (FULL.name,)

    def _with_group(self, task: TaskConfig) -> TaskConfig:
        if task.data.format and not has_columns(task.data.format):
            raise ConfigError(f"--group {self.group}: the data of task {task.name} ({task.data.format}) has no columns")
        return replace(task, data=replace(task.data, fields={**task.data.fields, "group": self.group}))

    def _with_variants(self, task: TaskConfig, profile: str) -> TaskConfig:
        if self.picks_candidates(task):
            trains = profile == "full" and get_builder_kind(task.kind).trains
            return replace(task, variants=(*CANDIDATES, *(TRAINED if trains else ())))
        if self.variants:
            task = replace(task, variants=self.variants)
            try:
                check_variants(task.variants, task.compress.calibration)
            except ConfigError as error:
                raise ConfigError(f"--variants: {error}") from None
        if self.pick and self.pick not in (*task.variants, *PICKS):
            raise ConfigError(
                f"--pick {self.pick}: task {task.name} builds {', '.join(task.variants)}; or {' or '.join(PICKS)}"
            )
        return task


def parse_set(items: Iterable[str]) -> dict[str, str]:
    """The items NAME=VALUE of --set as hyperparameter -> JSON text; the last item of a name wins."""
    names = [field.name for field in fields(TrainConfig)]
    values: dict[str, str] = {}
    for item in items:
        name, sign, value = item.partition("=")
        if not sign or name not in names:
            known = f"NAME one of {', '.join(names)}{did_you_mean(name, names)}"
            raise ConfigError(f"--set {item}: expected NAME=VALUE with {known}")
        try:
            json.loads(value)
        except ValueError:
            raise ConfigError(f"--set {item}: {value!r} is not a number") from None
        values[name] = value
    return values
