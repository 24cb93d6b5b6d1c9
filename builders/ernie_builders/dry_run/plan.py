"""`--dry-run`: what a build would do, as aligned text. Without Paddle, downloads or anything written."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from ernie_runtime.command_line import did_you_mean
from ernie_runtime.kinds import kind_names
from ernie_runtime.repository import versions

from ..checkpoints.encoders import EMBEDDED
from ..compat.choice import choose
from ..config.schema import SeveralFaultsError
from ..config.tasks import ASSETS, DataConfig, TaskConfig, read_tasks
from ..console import say
from ..errors import BuildError, ConfigError
from ..presets.entry import draft_task, how_to_add
from ..presets.loading import load_presets, task_names
from ..presets.presets import ALL, PUBLISHED, Choice
from ..stages.order import steps
from ..stages.request import BuildRequest
from ..stages.selection import by_name, check_checkpoints, check_requested, make_context, requested_tasks, takes_shipped
from .faults import STOPS, repository_faults, task_faults
from .lookup import DataFile, data_files, stage_label, stage_states, why_not_looked_up
from .rows import Rows, Source, data_rows, task_rows

LABEL = 17  # columns before the text of a row
HEADER = ("PRESET", "BASE MODEL", "BATCH", "RATE", "EPOCHS", "LENGTH", "FIGURES")  # of `--preset all`
LEFT = ("PRESET", "BASE MODEL")  # columns of text; the others are numbers


def dry_run(request: BuildRequest) -> Iterator[str]:
    """The lines of the plan; ConfigError if the command line asks for what does not exist."""
    overrides = request.overrides
    if overrides.preset == ALL:
        yield from preset_table(overrides.base_model)
        return
    file = read_tasks(request.tasks_file)
    request = by_name(request, file)
    faults = check_requested(request, file)
    names = _task_names(request, file.tasks)
    in_file = tuple(name for name in names if name in file.tasks)
    requested = requested_tasks(replace(request, tasks=in_file), file.tasks) if in_file else []
    tasks = {task.name: task for task in requested}
    check_checkpoints(request, requested)
    stops = repository_faults(request, requested)
    compat = choose(request.compat, [file.tasks[name] for name in in_file], request.until)
    yield "Plan: nothing is downloaded, trained or written."
    yield from (f"  {STOPS}  {fault}" for fault in stops)
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
        faults_of_task: list[str] = []
        if name in tasks:
            states, fault = states_of(request, task, source, files)
            faults_of_task = task_faults(request, task, source, files, fault)
            rows += build_rows(request, task, states, faults_of_task)
        yield from (f"  {label:<{LABEL}}{text}".rstrip() for label, text in rows)
        stops += [f"[{name}] {fault}" for fault in faults_of_task]
        yield from () if name in tasks else ("", *how_to_add(task))
    if request.compat:
        yield from ("", "[compat]", *(f"  {line}" for line in compat.lines()))
    if faults or stops:
        refused = [f"not planned: {'; '.join(map(str, faults))}"] * bool(faults)
        message = "; ".join([*refused, *(["the build would stop: " + "; ".join(stops)] if stops else [])])
        raise SeveralFaultsError([*map(str, faults), *stops], message)


def show(lines: Iterable[str], report: Callable[[object], None]) -> None:
    """Print them; a reader that closes the pipe early (`| head`) has seen enough.

    report: prints the plan and its faults as JSON.
    """
    shown, faults = list[str](), list[str]()
    try:
        for line in lines:
            shown.append(line)
            say(line)
    except BuildError as error:
        faults += error.lines if isinstance(error, SeveralFaultsError) else [str(error)]
        raise
    except BrokenPipeError:  # what is still in the buffer must not be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    finally:
        report({"plan": shown, "faults": faults})


def _task_names(request: BuildRequest, in_file: Collection[str]) -> list[str]:
    """The tasks to plan: those of the tasks file, and a task that a preset is for though the file lacks it."""
    presets, preset, file = load_presets(), request.overrides.preset, request.tasks_file.name
    if request.tasks is None:
        return task_names(preset, in_file) or list(presets.preset(preset).tasks[:1])
    for name in request.tasks:
        fitting = [preset.name for preset in presets.all_of_task(name)]
        if name not in in_file and preset not in (fitting and [PUBLISHED, *fitting]):
            known = f"it has {', '.join(in_file)}{did_you_mean(name, in_file)}"
            hint = f"presets.toml has it: add --preset {fitting[0]}" if fitting else known
            raise ConfigError(f"--tasks: {name!r} is not in {file}; {hint}")
    if not request.tasks:
        raise ConfigError(f"--tasks: names no task; {file} has {', '.join(in_file)}")
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
    """Train, dev, and the transfer sets that the task is evaluated on, under their names."""

    def files(data: DataConfig) -> tuple[DataFile, ...]:
        return data_files(task, data, request.data_home(data), request.profile, request.cache)

    transfer = [(name, file) for name, data in task.transfer.items() for file in files(data)]
    return [*files(task.data), *(replace(file, split=name) for name, file in transfer)]


def states_of(
    request: BuildRequest, task: TaskConfig, source: Source, files: Sequence[DataFile]
) -> tuple[list[tuple[str, str]], Exception | None]:
    """(stage, what would be done) for each stage, and the fault that stops the build, if any."""
    reason = why_not_looked_up(source.name, files)
    if not reason:
        return stage_states(lambda: make_context(task, request, source.checkpoint), request.until)
    stages = steps(task.variants, request.until)
    states = [(stage_label(stage, variant), "runs, or is in the cache") for stage, variant in stages]
    return [*states, ("", f"(not looked up: {reason})")], None


def build_rows(request: BuildRequest, task: TaskConfig, states: Sequence[tuple[str, str]], faults: list[str]) -> Rows:
    """The stages and their states, what stops the build, the version to be published, and the cache."""
    states = [*states, *((STOPS, fault) for fault in faults)]
    width = max(len(name) for name, _ in states)
    for number, (name, state) in enumerate(states):
        yield "" if number else "stages", f"{name:<{width}}  {state}" if name else state
    model: Path = request.output / task.name
    newest = max(versions(model), default=0)
    after = f", after version {newest}" if newest else ""
    yield "output", f"{model} and its steps, version {newest + 1}{after}"
    yield "cache", f"{request.cache / task.name}"


def preset_table(base_model: str = "") -> Iterator[str]:
    """Aligned lines: each preset with every base model of its language, or with one of any language."""
    presets = load_presets()
    models = [presets.model(base_model)] if base_model else list(presets.models.values())
    choices = [
        presets.choose(preset, model.name)
        for preset in presets.presets.values()
        for model in models
        if base_model or model.language == preset.language
    ]
    rows = [HEADER, *map(_preset_row, choices)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER) - 1)]
    for row in rows:
        cells = [
            cell.ljust(width) if name in LEFT else cell.rjust(width)
            for name, cell, width in zip(HEADER[:-1], row, widths, strict=False)
        ]
        yield "  ".join([*cells, row[-1]])
    yield ""
    yield (
        f"{len(presets.presets)} presets, {len(models)} base models, {len(choices)} lines; "
        "`--preset NAME --base-model MODEL --dry-run` plans one"
    )


def _preset_row(choice: Choice) -> tuple[str, ...]:
    train = choice.train
    numbers = (f"{train['batch_size']}", f"{train['learning_rate']:g}", f"{train['epochs']:g}", f"{choice.max_length}")
    return choice.preset.name, choice.model.name, *numbers, "its own" if choice.exact else f"fallback: {choice.row}"
