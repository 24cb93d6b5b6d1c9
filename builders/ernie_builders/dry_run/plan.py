"""`--dry-run`: what a build would do, as aligned text. Without Paddle, downloads or anything written."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from ernie_runtime.kinds import kind_names
from ernie_runtime.repository import versions

from ..checkpoints.base_models import EMBEDDED
from ..config.tasks import ASSETS, TaskConfig, load_tasks
from ..config.variants import FULL
from ..console import say
from ..presets.entry import draft_task, how_to_add
from ..presets.presets import ALL, choice_for
from ..presets.table import preset_table
from ..stages import Context, Stage
from .asked import asked
from .outlook import FileOutlook, RunTask, data_outlook, stage_outlook, why_not_looked_up
from .rows import Rows, Source, data_rows, task_rows

LABEL = 17  # columns before the text of a row


@dataclass(frozen=True)
class Build:
    """The parts of builders/build_all.py, so that plan and build read a command line alike."""

    chosen_tasks: Callable[[argparse.Namespace], list[TaskConfig]]
    with_changes: Callable[[TaskConfig, argparse.Namespace], TaskConfig]
    checkpoints: Callable[[argparse.Namespace, list[TaskConfig]], dict[str, Path]]
    takes_shipped: Callable[[TaskConfig, argparse.Namespace], bool]
    make_context: Callable[[TaskConfig, argparse.Namespace, Path | None], Context]
    steps: Callable[[Sequence[str], str], Iterator[tuple[Stage, str]]]
    run_task: RunTask


def dry_run(args: argparse.Namespace, build: Build) -> Iterator[str]:
    """The lines of the plan; ConfigError where the command line asks for what is not there."""
    if args.preset == ALL:
        yield from preset_table(args.base_model)
        return
    known = load_tasks(args.tasks_file)
    names = asked(args, known)
    own = [name for name in names if name in known]
    tasks = {task.name: task for task in build.chosen_tasks(narrowed(args, own))} if own else {}
    checkpoints = build.checkpoints(args, list(tasks.values()))
    yield "Plan: nothing is downloaded, trained or written."
    for name in names:
        base_model = args.base_model or (tasks[name].base_model if name in tasks else EMBEDDED)
        choice = choice_for(args.preset, name, base_model)
        if name in tasks:
            task = tasks[name]
        elif choice is not None:
            task = build.with_changes(draft_task(name, choice, base_model), args)
        source = source_of(args, task, checkpoints.get(name), build)
        yield ""
        yield f"[{name}] {task.title}"
        files = files_of(args, task)
        rows = [*task_rows(args, task, choice, source), *data_rows(args, task, source, files)]
        rows += build_rows(args, task, source, files, build) if name in tasks else []
        yield from (f"  {label:<{LABEL}}{text}".rstrip() for label, text in rows)
        yield from () if name in tasks else ("", *how_to_add(task))


def show(lines: Iterable[str]) -> None:
    """Print them; a reader that closes the pipe early (`| head`) has seen enough."""
    try:
        for line in lines:
            say(line)
    except BrokenPipeError:  # what is still in the buffer must not be written at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def narrowed(args: argparse.Namespace, names: Iterable[str]) -> argparse.Namespace:
    """The same command line for these tasks."""
    return argparse.Namespace(**{**vars(args), "tasks": ",".join(names)})


def source_of(args: argparse.Namespace, task: TaskConfig, given: Path | None, build: Build) -> Source:
    """What make_context would start from; given: the --checkpoint for the task."""
    if given is not None:
        return Source(str(given), given, True)
    if task.kind in kind_names() and build.takes_shipped(task, args):
        return Source(str(ASSETS / task.checkpoint), None, True)
    return Source(args.base_model or task.base_model, None, False)


def files_of(args: argparse.Namespace, task: TaskConfig) -> list[FileOutlook]:
    """Train and dev, and the further sets that the task is evaluated on, by name."""
    where = args.data_dir, args.profile, args.cache
    further = ((name, file) for name, data in task.transfer.items() for file in data_outlook(data, *where))
    return [*data_outlook(task.data, *where), *(replace(file, split=name) for name, file in further)]


def build_rows(
    args: argparse.Namespace, task: TaskConfig, source: Source, files: Sequence[FileOutlook], build: Build
) -> Rows:
    """The stages, which of them are done, and where the result goes."""
    reason = why_not_looked_up(source.name, files)
    found = [
        (stage.NAME if variant == FULL.name else f"{stage.NAME} {variant}", "runs, or is in the cache")
        for stage, variant in build.steps(task.variants, args.until)
    ]
    if not reason:
        found = stage_outlook(build.run_task, lambda: build.make_context(task, args, source.checkpoint), args.until)
    width = max(len(name) for name, _ in found)
    for number, (name, line) in enumerate(found):
        yield "" if number else "stages", f"{name:<{width}}  {line}"
    if reason:
        yield "", f"(not looked up: {reason})"
    have = versions(args.output / task.name)
    before = f", after version {have[-1]}" if have else ""
    yield "output", f"{args.output / task.name} and its steps, version {have[-1] + 1 if have else 1}{before}"
    yield "cache", f"{args.cache / task.name}"
