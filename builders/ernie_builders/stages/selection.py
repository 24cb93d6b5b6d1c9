"""Which tasks a build is about, and which weights and data each starts from."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from ernie_runtime.command_line import did_you_mean
from ernie_runtime.manifest import Evaluation

from ..checkpoints.checkpoint import Checkpoint, read_checkpoint
from ..config.tasks import ASSETS, TaskConfig, TasksFile
from ..config.variants import FULL
from ..console import say
from ..errors import ConfigError, DataError
from ..kinds import get_builder_kind
from ..metrics.row_metric import errors_of_shares
from ..modeling.compatibility import check_fit
from ..modeling.model import find_base_model
from ..presets.loading import task_names
from .context import Card, Context
from .locate import data_folder
from .request import BuildRequest


def by_name(request: BuildRequest, file: TasksFile) -> BuildRequest:
    """The request with the names of tasks where it has titles, which may be Chinese."""
    tasks = None if request.tasks is None else tuple(dict.fromkeys(map(file.name_of, request.tasks)))
    checkpoints = {file.name_of(name): folder for name, folder in request.checkpoints.items()}
    return replace(request, tasks=tasks, checkpoints=checkpoints)


def requested_tasks(request: BuildRequest, tasks: Mapping[str, TaskConfig]) -> list[TaskConfig]:
    """The requested ones of the tasks of a tasks file, with the command line's overrides applied."""
    file, preset = request.tasks_file.name, request.overrides.preset
    if request.tasks is None:
        names: Collection[str] = task_names(preset, tasks)
        if not names:
            raise ConfigError(
                f"--preset {preset}: {file} has no task for it: give --tasks with one of {', '.join(tasks)}, or see "
                "--dry-run for what to add"
            )
    else:
        names = request.tasks
    for name in names:
        if name not in tasks:
            raise ConfigError(
                f"--tasks: {name!r} is not in {file}; it has {', '.join(tasks)}{did_you_mean(name, tasks)}"
            )
    if not names:
        raise ConfigError(f"--tasks: names no task; {file} has {', '.join(tasks)}")
    return [request.overrides.apply(tasks[name], request.profile) for name in names]


def check_requested(request: BuildRequest, file: TasksFile) -> list[ConfigError]:
    """The faults of the faulty tasks that would be built, if all tasks are requested; warns of other faulty tasks.

    Raises the faults of tasks that are requested by name, and all faults if no task is left.
    """
    every = [*file.tasks, *file.faults]
    names = request.tasks if request.tasks is not None else task_names(request.overrides.preset, every)
    faults = [file.faults[name] for name in names if name in file.faults]
    if faults and (request.tasks is not None or not file.tasks):
        raise ConfigError("; ".join(map(str, faults)))
    for name, fault in file.faults.items():
        if fault not in faults:
            say(f"warning: {fault} (task {name} was not asked for)")
    return faults


def check_checkpoints(request: BuildRequest, tasks: Sequence[TaskConfig]) -> None:
    """ConfigError if --checkpoint names a task that is not requested."""
    for name, folder in request.checkpoints.items():
        if name not in {task.name for task in tasks}:
            raise ConfigError(f"--checkpoint {name}={folder}: task {name!r} is not among --tasks")


def takes_shipped(task: TaskConfig, request: BuildRequest) -> bool:
    """Whether the task's checkpoint that ships is published; the full profile, a base model or a preset train one."""
    if request.overrides.base_model or request.overrides.preset:
        return False
    if request.profile == "full" and get_builder_kind(task.kind).trains:
        return False
    return bool(task.checkpoint) and (ASSETS / task.checkpoint).is_dir()


def without_checkpoint(request: BuildRequest, tasks: Sequence[TaskConfig]) -> list[str]:
    """The tasks that would have to be trained, as the checkpoint that they normally publish does not ship yet."""
    return [
        task.name
        for task in tasks
        if task.checkpoint
        and task.name not in request.checkpoints
        and not request.overrides.base_model
        and not takes_shipped(task, request)
    ]


def make_context(task: TaskConfig, request: BuildRequest, checkpoint: Path | None) -> Context:
    """The task with its weights and data; checkpoint: of --checkpoint, a fine-tuned one to publish.

    ConfigError, CheckpointError or DataError for what is missing or does not fit together.
    """
    kind, shipped = get_builder_kind(task.kind), ASSETS / task.checkpoint
    card, preset = Card(), request.overrides.preset
    source: Checkpoint
    ready = True
    if checkpoint is not None:
        if preset:
            raise ConfigError(f"--preset {preset} trains, --checkpoint {task.name}={checkpoint} does not: give one")
        source = read_checkpoint(checkpoint)
    elif takes_shipped(task, request):
        source, card = read_checkpoint(shipped), _read_card(shipped / "card.json", task)
    else:
        source, ready = find_base_model(request.overrides.base_model or task.base_model, request.seed), False
    source = kind.prepare(source)
    check_fit(task, source, ready)
    if ready and kind.trains and kind.needs_head and not source.has_head:
        raise ConfigError(f"{source.where}: has no task head, so it is not fine-tuned; give it as --base-model instead")
    folder, split = data_folder(task.data, request.data_home(task.data), request.profile, request.cache)
    if folder is None and not ready and kind.trains:
        raise DataError(
            f"task {task.name}: no sample ships for it; give --data-dir with its {task.data.folder}/ folder"
        )
    return Context(
        task=task,
        profile=request.profile,
        source=source,
        ready=ready,
        data_folder=folder,
        data_split=split,
        output=request.output,
        cache=request.cache,
        device=request.device,
        devices=request.devices,
        seed=request.seed,
        card=card,
        transfer_folders=_transfer_folders(task, request),
        force=request.force,
        pick=request.overrides.pick or FULL.name,
    )


def _read_card(path: Path, task: TaskConfig) -> Card:
    """Figures only of the card's own task: another one with the same weights (drcd) has other texts.

    A card from before there were standard errors gets those that its figures tell.
    """
    raw = json.loads(path.read_text(encoding="utf-8"))
    own = raw.get("evaluations", ()) if raw.get("task", task.name) == task.name else ()
    found = [Evaluation(**evaluation) for evaluation in own]
    evaluations = tuple(replace(e, errors={**errors_of_shares(task.kind, e), **e.errors}) for e in found)
    return Card(base_model=raw.get("base_model", ""), evaluations=evaluations)


def _transfer_folders(task: TaskConfig, request: BuildRequest) -> dict[str, Path]:
    """The folders of the transfer sets that --data-dir has."""
    folders = {}
    for name, data in task.transfer.items():
        with contextlib.suppress(DataError):
            folder, _ = data_folder(data, request.data_home(data), "demo", request.cache)
            if folder is not None:
                folders[name] = folder
    return folders
