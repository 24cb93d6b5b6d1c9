"""`--dry-run`: what a build would do, as aligned text. Without Paddle, downloads or anything written."""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ernie_runtime.kinds import kind_names
from ernie_runtime.repository import versions

from ..checkpoints.base_models import EMBEDDED
from ..compat.choice import choose
from ..config.tasks import ASSETS, TaskConfig, read_tasks
from ..console import say
from ..errors import ConfigError
from ..presets.entry import draft_task, how_to_add
from ..presets.presets import ALL, PUBLISHED, load_presets, task_names
from ..presets.table import preset_table
from ..stages.order import steps
from ..stages.request import BuildRequest
from ..stages.selection import check_checkpoints, check_requested, make_context, requested_tasks, takes_shipped
from .lookup import DataFile, data_files, stage_label, stage_states, why_not_looked_up
from .rows import Rows, Source, data_rows, task_rows

LABEL = 17  # columns before the text of a row


def dry_run(request: BuildRequest) -> Iterator[str]:
    """The lines of the plan; ConfigError where the command line asks for what is not there."""
    overrides = request.overrides
    if overrides.preset == ALL:
        yield from preset_table(overrides.base_model)
        return
    file = read_tasks(request.tasks_file)
    known, faults = file.tasks, check_requested(request, file)
    names = _names(request, known)
    have = tuple(name for name in names if name in known)
    tasks = {task.name: task for task in requested_tasks(replace(request, tasks=have), known)} if have else {}
    check_checkpoints(request, list(tasks.values()))
    compat = choose(request.compat, [known[name] for name in have], request.until)
    yield "Plan: nothing is downloaded, trained or written."
    for name in names:
        base_model = overrides.base_model or (tasks[name].base_model if name in tasks else EMBEDDED)
        choice = overrides.choice(name, base_model)
        if name in tasks:
            task = tasks[name]
        elif choice is not None:
            task = overrides.apply(draft_task(name, choice, base_model), request.profile)
        source = source_of(request, task)
        yield ""
        yield f"[{name}] {task.title}"
        files = files_of(request, task)
        rows = [*task_rows(request, task, choice, source), *data_rows(request, task, source, files)]
        rows += build_rows(request, task, source, files) if name in tasks else []
        yield from (f"  {label:<{LABEL}}{text}".rstrip() for label, text in rows)
        yield from () if name in tasks else ("", *how_to_add(task))
    if request.compat:
        yield from ("", "[compat]", *(f"  {line}" for line in compat.lines()))
    if faults:
        raise ConfigError(f"not planned: {'; '.join(map(str, faults))}")


def show(lines: Iterable[str]) -> None:
    """Print them; a reader that closes the pipe early (`| head`) has seen enough."""
    try:
        for line in lines:
            say(line)
    except BrokenPipeError:  # what is still in the buffer must not be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _names(request: BuildRequest, known: Collection[str]) -> list[str]:
    """Names of tasks: of the tasks file, or of a preset whose task it has not."""
    presets, preset, file = load_presets(), request.overrides.preset, request.tasks_file.name
    if request.tasks is None:
        return task_names(preset, known) or list(presets.preset(preset).tasks[:1])
    for name in request.tasks:
        fit = [preset.name for preset in presets.all_of_task(name)]
        if name not in known and preset not in (fit and [PUBLISHED, *fit]):
            hint = f"; presets.toml has it: add --preset {fit[0]}" if fit else f"; it has {', '.join(known)}"
            raise ConfigError(f"--tasks: {name!r} is not in {file}{hint}")
    if not request.tasks:
        raise ConfigError(f"--tasks: names no task; {file} has {', '.join(known)}")
    return list(request.tasks)


def source_of(request: BuildRequest, task: TaskConfig) -> Source:
    """What `stages.selection.make_context` would start from."""
    checkpoint = request.checkpoints.get(task.name)
    if checkpoint is not None:
        return Source(name=str(checkpoint), checkpoint=checkpoint, ready=True)
    if task.kind in kind_names() and takes_shipped(task, request):
        return Source(name=str(ASSETS / task.checkpoint), checkpoint=None, ready=True)
    return Source(name=request.overrides.base_model or task.base_model, checkpoint=None, ready=False)


def files_of(request: BuildRequest, task: TaskConfig) -> list[DataFile]:
    """Train and dev, and the further sets that the task is evaluated on, by name."""
    where = request.data_dir, request.profile, request.cache
    further = ((name, file) for name, data in task.transfer.items() for file in data_files(data, *where))
    return [*data_files(task.data, *where), *(replace(file, split=name) for name, file in further)]


def build_rows(request: BuildRequest, task: TaskConfig, source: Source, files: Sequence[DataFile]) -> Rows:
    """The stages, which of them are done, and where the result goes."""
    reason = why_not_looked_up(source.name, files)
    if reason:
        stages = steps(task.variants, request.until)
        states = [(stage_label(stage, variant), "runs, or is in the cache") for stage, variant in stages]
    else:
        states = stage_states(lambda: make_context(task, request, source.checkpoint), request.until)
    width = max(len(name) for name, _ in states)
    for number, (name, state) in enumerate(states):
        yield "" if number else "stages", f"{name:<{width}}  {state}"
    if reason:
        yield "", f"(not looked up: {reason})"
    model: Path = request.output / task.name
    have = versions(model)
    before = f", after version {have[-1]}" if have else ""
    yield "output", f"{model} and its steps, version {have[-1] + 1 if have else 1}{before}"
    yield "cache", f"{request.cache / task.name}"
