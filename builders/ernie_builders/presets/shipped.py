"""`--preset shipped`: which checkpoints ship and are trained again from the embedded encoder, in which order."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..config.schema import parse_table
from ..config.tasks import TaskConfig, TrainConfig
from ..errors import ConfigError

SHIPPED = "shipped"


@dataclass(frozen=True)
class ShippedPreset:
    """The table [shipped] of presets.toml."""

    tasks: tuple[str, ...] = ()  # in the order of training: what another begins from comes before it
    train: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)  # task -> fields of TrainConfig

    def apply(self, task: TaskConfig) -> TaskConfig:
        """The task with what the table changes of its hyperparameters."""
        changed = self.train.get(task.name, {})
        return replace(
            task, train=parse_table(TrainConfig, {**vars(task.train), **changed}, f"shipped.train.{task.name}")
        )

    def names(self, known: Collection[str]) -> list[str]:
        """Those of the tasks that a tasks file has."""
        return [name for name in self.tasks if name in known]


def shipped_preset(raw: Mapping[str, Any], where: str) -> ShippedPreset:
    """The table as an object; ConfigError (table, field) where it is wrong."""
    tasks = raw.get("tasks", [])
    found = parse_table(ShippedPreset, {**raw, "tasks": tuple(tasks) if isinstance(tasks, list) else tasks}, where)
    if not isinstance(found.train, Mapping):
        raise ConfigError(f"{where}.train: expected a table")
    for name, changes in found.train.items():
        if name not in found.tasks:
            raise ConfigError(f"{where}.train.{name}: {where}.tasks has no such task")
        parse_table(TrainConfig, changes, f"{where}.train.{name}")
    return found
