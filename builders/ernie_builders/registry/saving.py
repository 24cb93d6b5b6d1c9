"""`--save-checkpoint` and `--keep-better`, as a build of several tasks uses them."""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..config.tasks import ASSETS, TASKS_FILE, TaskConfig, load_tasks
from ..console import say
from ..errors import ConfigError, DataError
from ..kinds import get_builder_kind
from ..presets.overrides import with_changes
from ..presets.shipped import SHIPPED
from ..stages import Context, Done, run_stage

MakeContext = Callable[[TaskConfig, argparse.Namespace, Path | None], Context]


def check_saving(args: argparse.Namespace, tasks: Sequence[TaskConfig]) -> None:
    """ConfigError for options that do not go together; says how long the shipped checkpoints took to train."""
    if args.keep_better and args.save_checkpoint is None:
        raise ConfigError("--keep-better: says what --save-checkpoint DIR may replace; give that too")
    if args.preset == SHIPPED:
        cards = [ASSETS / task.checkpoint / "card.json" for task in tasks if task.checkpoint]
        told = [json.loads(card.read_text(encoding="utf-8")) for card in cards if card.is_file()]
        seconds = sum(card.get("training_seconds", 0) for card in told)
        say(f"{len(told)} checkpoints to train; their cards tell of {seconds / 3600:.1f} hours of training in all")


def check_comparable(
    args: argparse.Namespace, tasks: Sequence[TaskConfig], checkpoints: Mapping[str, Path], make_context: MakeContext
) -> None:
    """With --keep-better: CheckpointError, before hours of training, where a task's figure cannot be compared with
    that of the checkpoint that is there."""
    if not args.keep_better:
        return
    from ..stages.order import run_task
    from .keep import before_of

    for task in tasks:
        folder, kind = args.save_checkpoint / task.name, get_builder_kind(task.kind)
        if folder.is_dir() and kind.trains and task.name not in checkpoints:
            done = run_task(make_context(task, args, None), "data", run_stage)
            before_of(folder, done["data"].figures["dev"]["rows"], kind.main_metric, task.name)


def save(args: argparse.Namespace, context: Context, done: Mapping[str, Done], make_context: MakeContext) -> str:
    """Store a trained checkpoint; with --keep-better where no task gets worse. One line about it."""
    task, command = context.task, reproduce(args, context.task)
    if not args.keep_better:
        from .ship import save_checkpoint

        return save_checkpoint(args.save_checkpoint / task.name, context, done, command)
    from .keep import keep_better

    def others(folder: Path) -> dict[str, dict[str, Any]]:
        found = {name: _evaluated(name, folder, args, make_context) for name in sharing(task, args.tasks_file)}
        return {name: figures for name, figures in found.items() if figures}

    return keep_better(args.save_checkpoint, context, done, command, others)


def sharing(task: TaskConfig, file: Path) -> list[str]:
    """The other tasks of a tasks file that have the weights of this one's checkpoint."""
    tasks = load_tasks(file).values()
    return [other.name for other in tasks if task.checkpoint == other.checkpoint != "" and other.name != task.name]


def _evaluated(name: str, folder: Path, args: argparse.Namespace, make_context: MakeContext) -> dict[str, Any]:
    """The dev figures of a task with a checkpoint's weights; nothing where its data is not at hand."""
    from ..stages.order import run_task

    plain = argparse.Namespace(**{**vars(args), "preset": "", "set": [], "base_model": "", "variants": "", "pick": ""})
    task = with_changes(load_tasks(args.tasks_file)[name], plain)
    try:
        context = make_context(task, plain, folder)
    except DataError as error:
        say(f"[{name}] not compared: {error}")
        return {}
    figures: dict[str, Any] = run_task(context, "evaluate", run_stage)["evaluate"].figures
    return figures if figures["rows"] else {}


def reproduce(args: argparse.Namespace, task: TaskConfig) -> str:
    """The command that makes this checkpoint again."""
    sets = "".join(f" --set {item}" for item in args.set)
    base = f" --base-model {Path(args.base_model).name}" if args.base_model else ""
    own = "" if args.tasks_file == TASKS_FILE else f" --tasks-file {args.tasks_file.name}"
    preset = f" --preset {args.preset}" if args.preset else ""
    return (
        f"ernie-triton build --tasks {task.name}{own} --profile full --data-dir DATA --seed {args.seed}"
        f"{base}{preset}{sets}"
    )
