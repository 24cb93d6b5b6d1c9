"""`--save-checkpoint` and `--keep-better`, as a build of several tasks uses them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ..config.tasks import ASSETS, TASKS_FILE, TaskConfig, read_tasks
from ..console import say
from ..errors import ConfigError, DataError
from ..kinds import get_builder_kind
from ..presets.overrides import Overrides
from ..presets.presets import SHIPPED
from ..stages.context import Context
from ..stages.order import run_plain
from ..stages.request import BuildRequest
from ..stages.results import Evaluated
from ..stages.selection import make_context
from ..stages.stage import Finished
from .keep import before_of, keep_better
from .ship import save_checkpoint


def check_saving(request: BuildRequest, tasks: Sequence[TaskConfig]) -> None:
    """ConfigError for options that do not go together; says how long the shipped checkpoints took to train."""
    if request.keep_better and request.save_checkpoint is None:
        raise ConfigError("--keep-better: says what --save-checkpoint DIR may replace; give that too")
    if request.overrides.preset == SHIPPED:
        paths = [ASSETS / task.checkpoint / "card.json" for task in tasks if task.checkpoint]
        cards = [json.loads(path.read_text(encoding="utf-8")) for path in paths if path.is_file()]
        seconds = sum(card.get("training_seconds", 0) for card in cards)
        say(f"{len(cards)} checkpoints to train; their cards tell of {seconds / 3600:.1f} hours of training in all")


def check_comparable(request: BuildRequest, tasks: Sequence[TaskConfig]) -> None:
    """With --keep-better: CheckpointError, before hours of training, where a task's figure cannot be compared with
    that of the checkpoint that is there."""
    if not request.keep_better or request.save_checkpoint is None:
        return
    for task in tasks:
        folder, kind = request.save_checkpoint / task.name, get_builder_kind(task.kind)
        if folder.is_dir() and kind.trains and task.name not in request.checkpoints:
            data = run_plain(make_context(task, request, None), "data").data.result
            before_of(folder, data.rows("dev"), kind.main_metric, task.name)


def save(request: BuildRequest, place: Path, context: Context, finished: Finished) -> str:
    """Store a trained checkpoint under `place`; with --keep-better where no task gets worse. One line about it."""
    task, command = context.task, reproduce(request, context.task)
    if not request.keep_better:
        return save_checkpoint(place / task.name, context, finished, command)

    def others(folder: Path) -> dict[str, Evaluated]:
        evaluated = {name: _evaluated(name, folder, request) for name in sharing(task, request.tasks_file)}
        return {name: result for name, result in evaluated.items() if result is not None}

    return keep_better(place, context, finished, command, others)


def sharing(task: TaskConfig, file: Path) -> list[str]:
    """The other tasks of a tasks file that have the weights of this one's checkpoint."""
    tasks = read_tasks(file).tasks.values()
    return [other.name for other in tasks if task.checkpoint == other.checkpoint != "" and other.name != task.name]


def _evaluated(name: str, folder: Path, request: BuildRequest) -> Evaluated | None:
    """The dev figures of a task with a checkpoint's weights; None where its data is not at hand."""
    plain = replace(request, overrides=Overrides())
    task = plain.overrides.apply(read_tasks(request.tasks_file).tasks[name], request.profile)
    try:
        context = make_context(task, plain, folder)
    except DataError as error:
        say(f"[{name}] not compared: {error}")
        return None
    result = run_plain(context, "evaluate").evaluated.result
    return result if result.rows else None


def reproduce(request: BuildRequest, task: TaskConfig) -> str:
    """The command that makes this checkpoint again."""
    changes = request.overrides
    words = ["ernie-triton build", f"--tasks {task.name}"]
    if request.tasks_file != TASKS_FILE:
        words.append(f"--tasks-file {request.tasks_file.name}")
    words.append(f"--profile full --data-dir DATA --seed {request.seed}")
    if request.device != "cpu":
        words.append(f"--device {request.device}")
    if request.devices:  # how many there are decides which rows make up a step
        words.append(f"--devices {request.devices}")
    if changes.base_model:
        words.append(f"--base-model {Path(changes.base_model).name}")
    if changes.preset:
        words.append(f"--preset {changes.preset}")
    words += [f"--set {name}={value}" for name, value in changes.hyperparameters.items()]
    return " ".join(words)
