"""Read presets.toml and look presets up in it."""

from __future__ import annotations

import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

from ernie_runtime.command_line import did_you_mean
from ernie_runtime.json_types import Json

from ..checkpoints.base_models import BaseModel
from ..config.schema import parse_table
from ..config.train import TrainConfig
from ..errors import ConfigError
from .presets import (
    FILE_NAME,
    LANGUAGES,
    PUBLISHED,
    ROW_FIELDS,
    SHIPPED,
    SIZES,
    Choice,
    Preset,
    Presets,
    ShippedPreset,
)

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

PRESETS_FILE = Path(__file__).resolve().parents[1] / FILE_NAME


def preset_for(name: str, base_model: str) -> Choice:
    """The preset `name` for a base model: a published name, `embedded` or a local directory."""
    presets = load_presets()
    return presets.choose(presets.preset(name), base_model)


def choice_for(preset: str, task: str, base_model: str) -> Choice | None:
    """What `--preset` means for a task; None without one, or if nothing is published for the task."""
    if preset in ("", SHIPPED):
        return None
    presets = load_presets()
    chosen = presets.of_task(task) if preset == PUBLISHED else presets.preset(preset)
    return presets.choose(chosen, base_model) if chosen else None


def task_names(preset: str, names: Collection[str]) -> list[str]:
    """The tasks, among `names`, that are built if --tasks names none: those that the preset is for, or the only one."""
    if preset in ("", PUBLISHED):
        return list(names)
    if preset == SHIPPED:
        return load_presets().shipped.tasks_among(names)
    tasks = load_presets().preset(preset).tasks
    return [name for name in names if name in tasks or len(names) == 1]


@cache
def load_presets(path: Path = PRESETS_FILE) -> Presets:
    """All presets of a file; ConfigError (file, table, field) if it is wrong."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read ({error})") from None
    with _missing(path.name):
        sources, shared = raw["sources"], raw["shared"]
        models = {
            name: parse_table(BaseModel, {"name": name, **table}, f"{path.name}: models.{name}")
            for name, table in raw["models"].items()
        }
        presets = {
            name: _parse_preset({"name": name, "tasks": (name,), **table}, shared, f"{path.name}: presets.{name}")
            for name, table in raw["presets"].items()
        }
    for name, preset in presets.items():
        _check_rows(preset, models, sources, f"{path.name}: presets.{name}")
    shipped = parse_shipped(raw.get(SHIPPED, {}), f"{path.name}: {SHIPPED}")
    return Presets(sources=sources, models=models, presets=presets, shipped=shipped)


@contextmanager
def _missing(where: str) -> Iterator[None]:
    try:
        yield
    except (KeyError, AttributeError, TypeError) as error:
        raise ConfigError(f"{where}: {error if not isinstance(error, KeyError) else f'{error} is missing'}") from None


def _parse_preset(raw: Json, shared: Json, where: str) -> Preset:
    preset = parse_table(Preset, {**raw, "train": {**shared, **raw.get("train", {})}}, where)
    if preset.language not in LANGUAGES:
        raise ConfigError(f"{where}.language: {preset.language!r} is none of {', '.join(LANGUAGES)}")
    return preset


def _check_rows(preset: Preset, models: Collection[str], sources: Collection[str], where: str) -> None:
    """ConfigError where a row is for no model, or does not make hyperparameters together with the preset's own."""
    for key, row in preset.by.items():
        at = f"{where}.by.{key}"
        if key not in (*models, *SIZES):
            raise ConfigError(f"{at}: no model, nor a size{did_you_mean(key, [*models, *SIZES])}")
        values = {**preset.train, **row}
        for name in ("epochs", "learning_rate", "batch_size"):
            if name not in values:
                raise ConfigError(f"{at}: {name} is missing")
        if (source := row.get("source", preset.source)) not in sources:
            raise ConfigError(f"{at}: source {source!r} is none of {', '.join(sources)}")
        parse_table(TrainConfig, {name: value for name, value in values.items() if name not in ROW_FIELDS}, at)


def parse_shipped(table: Any, where: str) -> ShippedPreset:
    """The table [shipped]; ConfigError (table, field) if it is wrong."""
    shipped = parse_table(ShippedPreset, table, where)
    parse_table(TrainConfig, shipped.shared, f"{where}.shared")
    for name, values in shipped.train.items():
        if name not in shipped.tasks:
            raise ConfigError(f"{where}.train.{name}: {where}.tasks has no such task")
        parse_table(TrainConfig, values, f"{where}.train.{name}")
    return shipped
