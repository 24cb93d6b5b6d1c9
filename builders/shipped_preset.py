"""`--preset shipped` and `--preset moved`: the checkpoints that ship, trained again, in the order of the training."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from .config import TaskConfig, TrainConfig, typed
from .errors import ConfigError

SHIPPED, MOVED = "shipped", "moved"
OWN = (SHIPPED, MOVED)  # tables of presets.toml, beside the published presets


@dataclass(frozen=True)
class ShippedPreset:
    """The table [shipped] or [moved] of presets.toml."""

    tasks: tuple[str, ...] = ()  # in the order of training: what another begins from comes before it
    base_model: str = ""  # what every task begins from, {task} in it its name; empty: as the tasks file has it
    times: Mapping[str, float] = field(default_factory=dict)  # field of TrainConfig -> factor, for every task
    train: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # task -> fields of TrainConfig

    def changes(self, task: TaskConfig) -> dict[str, Any]:
        """The hyperparameters that it changes."""
        scaled = {name: round(getattr(task.train, name) * factor, 9) for name, factor in self.times.items()}
        return {**scaled, **self.train.get(task.name, {})}

    def apply(self, task: TaskConfig, where: str) -> TaskConfig:
        """The task with what the table changes; where: the table, for errors."""
        train = typed(TrainConfig, {**vars(task.train), **self.changes(task)}, f"{where}.train.{task.name}")
        base = self.base_model.format(task=task.name) or task.base_model
        return replace(task, train=train, base_model=base)

    def names(self, known: Collection[str]) -> list[str]:
        """Those of the tasks that a tasks file has."""
        return [name for name in self.tasks if name in known]


def shipped_preset(raw: Mapping[str, Any], where: str) -> ShippedPreset:
    """The table as an object; ConfigError (table, field) where it is wrong."""
    tasks = raw.get("tasks", [])
    found = typed(ShippedPreset, {**raw, "tasks": tuple(tasks) if isinstance(tasks, list) else tasks}, where)
    for name in ("train", "times"):
        if not isinstance(getattr(found, name), Mapping):
            raise ConfigError(f"{where}.{name}: expected a table")
    for name, factor in found.times.items():
        number = isinstance(getattr(TrainConfig(), name, None), float)
        if not number or isinstance(factor, bool) or not isinstance(factor, int | float):
            raise ConfigError(f"{where}.times.{name}: expected a factor of a hyperparameter that is a fraction")
    for name, changes in found.train.items():
        if name not in found.tasks:
            raise ConfigError(f"{where}.train.{name}: {where}.tasks has no such task")
        typed(TrainConfig, changes, f"{where}.train.{name}")
    return found
