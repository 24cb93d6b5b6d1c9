"""A task as the command line changes it: --set, --preset, --variants, --pick, --max-drop, --fused."""

from __future__ import annotations

import argparse
import json
from dataclasses import fields, replace
from typing import Any

from ..config.schema import typed
from ..config.tasks import TaskConfig, TrainConfig
from ..config.variants import FULL, PICKS, CompressConfig, check_variants
from ..errors import ConfigError
from ..kinds import get_builder_kind
from .presets import choice_for, load_presets
from .shipped import SHIPPED

CANDIDATES = ("fp32", "fp32-ov", "int8", "int8-e8-ort")  # what --pick chooses among where no variants are named
TRAINED = ("w0.5", "w0.5-int8-e8-ort")  # more of them where the profile may train


def with_changes(task: TaskConfig, args: argparse.Namespace) -> TaskConfig:
    """The task with what the command line says of it; ConfigError for what it cannot mean."""
    known = [field.name for field in fields(TrainConfig)]
    changes: dict[str, Any] = {}
    for item in args.set:
        key, sign, value = item.partition("=")
        if not sign or key not in known:
            raise ConfigError(f"--set {item}: expected NAME=VALUE with NAME one of {', '.join(known)}")
        try:
            changes[key] = json.loads(value)
        except ValueError:
            raise ConfigError(f"--set {item}: {value!r} is not a number") from None
    choice = choice_for(args.preset, task.name, args.base_model or task.base_model)
    task = choice.apply(task) if choice else task
    if args.preset == SHIPPED:
        task = load_presets().shipped.apply(task)
    task = _with_variants(task, args)
    if args.max_drop is not None:
        changed = {**vars(task.compress), "max_drop": args.max_drop}
        task = replace(task, compress=typed(CompressConfig, changed, "--max-drop"))
    if args.fused:
        task = replace(task, pipeline="fused")
    return replace(task, train=typed(TrainConfig, {**vars(task.train), **changes}, "--set"))


def picks_itself(task: TaskConfig, args: argparse.Namespace) -> bool:
    """Whether --pick is to find variants for a task that names none besides fp32."""
    return args.pick in PICKS and not args.variants and task.variants == (FULL.name,)


def _with_variants(task: TaskConfig, args: argparse.Namespace) -> TaskConfig:
    if picks_itself(task, args):
        trains = args.profile == "full" and get_builder_kind(task.kind).trains
        return replace(task, variants=(*CANDIDATES, *(TRAINED if trains else ())))
    if args.variants:
        task = replace(task, variants=tuple(name.strip() for name in args.variants.split(",")))
        try:
            check_variants(task.variants, task.compress.calibration)
        except ConfigError as error:
            raise ConfigError(f"--variants: {error}") from None
    if args.pick and args.pick not in (*task.variants, *PICKS):
        raise ConfigError(
            f"--pick {args.pick}: task {task.name} builds {', '.join(task.variants)}; or {' or '.join(PICKS)}"
        )
    return task
