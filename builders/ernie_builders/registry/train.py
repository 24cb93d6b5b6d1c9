"""`ernie-triton assets train`: train the checkpoints that ship, store them, and keep the better of the old and the new.

A finished training is kept in the cache of stages, and an interrupted one resumes from its last state, so the same
command goes on from where it was.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ernie_runtime.json_types import JsonObject

from ..checkpoints.adapter import CONFIG as ADAPTER
from ..checkpoints.adapter import read_base
from ..checkpoints.base_models import SHIPPED, folder_of
from ..checkpoints.checkpoint import BASES, Checkpoint, find_base, write_adapter, write_checkpoint
from ..checkpoints.checksums import CARDS, refresh, ships
from ..config.tasks import TaskConfig, read_tasks
from ..console import say
from ..errors import ConfigError, DataError
from ..filesystem import whole_folder, write_json
from ..kinds import get_builder_kind
from ..presets.overrides import Overrides
from ..stages.context import Context
from ..stages.draft import fine_tuned
from ..stages.locate import data_folder
from ..stages.order import run_plain
from ..stages.request import BuildRequest
from ..stages.results import Evaluated
from ..stages.selection import make_context, requested_tasks
from ..stages.stage import Finished

BY = "the builder, on the weights as they are stored, through the serving code, when they were made"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a task's training; figures: the main metric of each task that has the checkpoint."""

    task: str
    line: str  # for a person
    stored: bool
    figures: Mapping[str, float] = field(default_factory=dict)
    before: Mapping[str, float] = field(default_factory=dict)


def train(request: BuildRequest, place: Path) -> list[Outcome]:
    """Train the requested tasks in turn; `place` has a folder for each task's checkpoint.

    ConfigError and DataError come before the first training where a task has no checkpoint of its own, or no data.
    """
    tasks = requested_tasks(request, read_tasks(request.tasks_file).tasks)
    for task in tasks:
        if task.checkpoint != f"checkpoints/{task.name}":
            raise ConfigError(f"{task.name}: ships with {task.checkpoint or 'no checkpoint'}: train the task it is of")
        data_folder(task.data, request.data_dir, request.profile, request.cache)
    cards = [_card(place / task.name) for task in tasks]
    hours = sum(card.get("training_seconds", 0) for card in cards) / 3600
    say(f"{len(tasks)} to train; their cards tell of {hours:.1f} hours of training in all")
    outcomes = []
    for number, task in enumerate(tasks, 1):
        say(f"[{task.name}] {task.title} ({number} of {len(tasks)})")
        outcomes.append(_train(task, request, place / task.name))
        say(f"[{task.name}] {outcomes[-1].line}")
    return outcomes


def _train(task: TaskConfig, request: BuildRequest, folder: Path) -> Outcome:
    """Train one task and exchange its checkpoint if no task gets worse."""
    context = make_context(task, request, None)
    finished = run_plain(context, "evaluate")
    if _card(folder).get("training") == finished.fine_tuned.key:
        return Outcome(task=task.name, line="its checkpoint is of this training already", stored=False)
    with TemporaryDirectory(prefix=f"{task.name}-", dir=context.cache) as scratch:
        new = Path(scratch, task.name)
        stored = store(new, context, finished)
        sharing = tasks_with(task, request.tasks_file)
        after = {name: found for name in sharing if (found := evaluated(name, new, request))}
        if task.name not in after:
            raise DataError(f"{task.name}: --data-dir has no dev rows, by which checkpoints are compared")
        before = {
            name: found for name in after if folder.is_dir() and (found := _evaluated_if_fits(name, folder, request))
        }
        figures = ", ".join(
            f"{name} {now.main} {now.value:.2f}" + (f" (before: {before[name].value:.2f})" if name in before else "")
            for name, now in after.items()
        )
        is_worse = any(after[name].value < was.value for name, was in before.items())
        outcome = Outcome(
            task=task.name,
            line=f"{figures}: " + ("the old checkpoint stays" if is_worse else f"stored as {stored}"),
            stored=not is_worse,
            figures={name: now.value for name, now in after.items()},
            before={name: was.value for name, was in before.items()},
        )
        if is_worse:
            return outcome
        write_json(new / CARDS[0], make_card(context, finished, stored, after[task.name], command(request, task)))
        with whole_folder(folder) as copy:
            shutil.copytree(new, copy, dirs_exist_ok=True)
    if ships(folder):
        refresh(folder=folder)
    return outcome


def store(folder: Path, context: Context, finished: Finished) -> str:
    """Write the trained checkpoint in the form that ships; what form that is.

    Trained with LoRA from an encoder that ships: as an adapter. Else whole, in 8 bits. Without the weights that the
    kind does not use.
    """
    trained = fine_tuned(finished.fine_tuned)
    unused = "pooler" if get_builder_kind(context.task.kind).without_pooler(context.task.options) else None
    weights = {name: value for name, value in trained.weights.items() if unused is None or unused not in name}
    base = base_of(context.source) if context.task.train.lora else None
    if base is None:
        write_checkpoint(folder, trained.config, weights, trained.tokenizer, bits=8)
        return "whole weights in 8 bits"
    write_adapter(folder, trained.config, weights, trained.tokenizer, base)
    return f"an adapter of the encoder {base}"


def base_of(source: Checkpoint) -> str | None:
    """The name in BASES of the encoder that a training began with, if need be by way of another checkpoint."""
    if source.where in BASES:
        return source.where
    folder = folder_of(source.where) if source.where.startswith(SHIPPED) else None
    if folder is None or not (folder / ADAPTER).is_file():
        return None
    about = read_base(folder)
    encoder, _ = find_base(about.name, about.sha256, folder)
    return next(name for name, path in BASES.items() if path == encoder)


def tasks_with(task: TaskConfig, file: Path) -> list[str]:
    """The task, and the others of a tasks file that have its checkpoint."""
    tasks = read_tasks(file).tasks.values()
    return [task.name, *(other.name for other in tasks if other.checkpoint == task.checkpoint and other != task)]


def evaluated(name: str, folder: Path, request: BuildRequest) -> Evaluated | None:
    """The dev figures of a task with the checkpoint in a folder; None where its data is not at hand."""
    plain = replace(request, overrides=Overrides())
    task = read_tasks(request.tasks_file).tasks[name]
    try:
        context = make_context(task, plain, folder)
    except DataError as error:
        say(f"[{name}] not compared: {error}")
        return None
    result = run_plain(context, "evaluate").evaluated.result
    return result if result.rows else None


def _evaluated_if_fits(name: str, folder: Path, request: BuildRequest) -> Evaluated | None:
    """As `evaluated`; None where the task has changed so that the checkpoint does not fit it any more."""
    try:
        return evaluated(name, folder, request)
    except ConfigError as error:
        say(f"[{name}] not compared with what ships: {error}")
        return None


def command(request: BuildRequest, task: TaskConfig) -> str:
    """The command that makes this checkpoint again."""
    words = ["ernie-triton assets train", task.name, "--data-dir DATA", f"--seed {request.seed}"]
    if request.device != "cpu":
        words.append(f"--device {request.device}")
    if request.devices:  # how many there are decides which rows make up a step
        words.append(f"--devices {request.devices}")
    words += [f"--set {name}={value}" for name, value in request.overrides.hyperparameters.items()]
    return " ".join(words)


def make_card(context: Context, finished: Finished, stored: str, figures: Evaluated, made_by: str) -> JsonObject:
    """What made the checkpoint (data, hyperparameters, command), how it is stored, and what it scores as stored."""
    trained, before = finished.fine_tuned.result, finished.evaluated.result
    return {
        "title": f"{context.task.title}, fine-tuned from {context.source.name}",
        "task": context.task.name,
        "base_model": context.source.name,
        "data": {split: figures.rows for split, figures in finished.data.result.splits.items()},
        "train": asdict(context.task.train),
        "seed": context.seed,
        "batches": trained.batches,
        "best_at_batch": trained.batch,
        "held_out": trained.metrics,
        "training_seconds": trained.seconds,
        "weights": stored,
        "command": made_by,
        "training": finished.fine_tuned.key,
        "evaluations": [asdict(evaluation) for evaluation in figures.evaluations(BY)],
        "before_storing": before.metrics,
    }


def _card(folder: Path) -> Mapping[str, Any]:
    path = folder / CARDS[0]
    if not path.is_file():
        return {}
    try:
        card: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ConfigError(f"{path}: not JSON ({error})") from None
    return card
