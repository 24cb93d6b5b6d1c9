"""Build tasks into a Triton model repository: `python builders/build_all.py`, or `ernie-triton build`."""

from __future__ import annotations

import importlib
import sys
import time
from collections.abc import Callable, Sequence

from ernie_runtime.command_line import json_output
from ernie_runtime.json_types import JsonObject
from ernie_runtime.repository import task_manifest

from .compat.choice import Choice, choose
from .config.tasks import TaskConfig, read_tasks
from .console import run_command, say
from .dry_run.plan import dry_run, show
from .errors import BuildError, CheckpointError, ConfigError, DataError, ExportError, PublishError
from .filesystem import disk_error
from .options import parser, request_from
from .presets.presets import PUBLISHED
from .repository.staging import check_all_free
from .stages.order import run_task
from .stages.request import BuildRequest
from .stages.results import Published
from .stages.selection import (
    by_name,
    check_checkpoints,
    check_requested,
    make_context,
    requested_tasks,
    without_checkpoint,
)

NAME = "ernie-triton build"
TASK_ERRORS = (ConfigError, DataError, CheckpointError, ExportError, PublishError)  # a full disk fails all tasks
# `ernie-triton build NAME ...`: what makes encoders and small models, not a repository.
OTHERS = {
    "pretrain": "ernie_builders.pretrain",
    "distill": "ernie_builders.distill",
    "convert-encoder": "ernie_builders.convert_encoder",
    "unpack-text": "ernie_builders.unpack_text",
}


def build(request: BuildRequest, report: Callable[[object], None] = lambda document: None) -> None:
    """Build the requested tasks one after the other; with --dry-run, print what would be done.

    report: prints what was published, or the plan, as JSON.
    """
    if request.dry_run:
        show(dry_run(request), report)
        return
    file = read_tasks(request.tasks_file)
    request = by_name(request, file)
    faults = check_requested(request, file)
    tasks = requested_tasks(request, file.tasks)
    if request.until == "publish":
        check_all_free(request.output, tasks)
    check_checkpoints(request, tasks)
    if request.tasks is None and request.profile == "demo":
        tasks = _ready_made(request, tasks)
    compat = choose(request.compat, tasks, request.until)
    for line in compat.lines():
        say(f"[compat] {line}")
    refused, failed, built = list[str](), list[str](), list[str]()
    for number, task in enumerate(tasks, 1):
        say(f"[{task.name}] {task.title} ({number} of {len(tasks)})")
        try:
            lines = _build_task(request, task, compat)
        except TASK_ERRORS as error:
            if len(tasks) == 1:
                raise
            failed.append(f"[{task.name}] {error}")
            say(f"{failed[-1]} (going on with the other tasks)", sys.stderr)
            continue
        built.append(task.name)
        if request.overrides.picks_candidates(file.tasks[task.name]):  # none of them was requested by name
            for line in lines:
                say(f"[{task.name}] not taken: {line}")
        else:
            refused += [f"{task.name} {line}" for line in lines]
    report(
        {
            "repository": str(request.output),
            "tasks": [outcome(request, name) for name in built],
            "faults": [*failed, *map(str, faults)],
            "refused": refused,
        }
    )
    problems = []
    if failed:
        problems.append(f"failed: {'; '.join(failed)}")
    if refused and not request.force:
        problems.append(f"refused by the gate, not published: {'; '.join(refused)} (--force publishes them too)")
    if faults:
        problems.append(f"not built: {'; '.join(map(str, faults))}")
    if problems:
        raise BuildError("; ".join(problems))


def _build_task(request: BuildRequest, task: TaskConfig, compat: Choice) -> Sequence[str]:
    """Run the task's stages and save its checkpoint if requested; a line for each variant that the gate refused."""
    started = time.monotonic()
    if choice := request.overrides.choice(task.name, task.base_model):
        say(f"[{task.name}] preset {choice.preset.name}: {choice.origin}")
    elif request.overrides.preset == PUBLISHED:
        say(f"[{task.name}] preset {PUBLISHED}: none is published for this task; {request.tasks_file.name} decides")
    context = make_context(task, request, request.checkpoints.get(task.name))
    finished = run_task(context, request.until)
    if form := compat.forms.get(task.name):
        from .compat.publish import publish as publish_compat

        say(f"[{task.name}] compat: {publish_compat(form, task, request.output)}")
    say(f"[{task.name}] finished in {time.monotonic() - started:.1f} s")
    published = finished.get(Published)
    return published.result.refused if published else ()


def outcome(request: BuildRequest, name: str) -> JsonObject:
    """What a build made of a task: its published version, with the figures that its variants are compared by."""
    if request.until != "publish":
        return {"task": name, "until": request.until}
    manifest = task_manifest(request.output, name)
    figures = manifest.compared()
    return {
        "task": name,
        "kind": manifest.kind,
        "title": manifest.title,
        "version": manifest.version,
        "recommended": manifest.recommended,
        "metric": manifest.main_metric,
        "measured_on": manifest.compared_on(),
        "variants": {
            variant.name: {
                "figure": figures[variant.name].metrics[manifest.main_metric] if variant.name in figures else None,
                "error": figures[variant.name].errors.get(manifest.main_metric) if variant.name in figures else None,
                "bytes": variant.bytes,
                "engine": variant.engine,
            }
            for variant in manifest.variants
        },
    }


def _ready_made(request: BuildRequest, tasks: list[TaskConfig]) -> list[TaskConfig]:
    """The tasks that can be published without hours of training; says which ones are left out."""
    left_out = without_checkpoint(request, tasks)
    if left_out:
        say(f"left out, as no checkpoint ships for them yet: {', '.join(left_out)} (--profile full trains them)")
    return [task for task in tasks if task.name not in left_out]


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a fault (one line), 2 usage, 130 interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words and words[0] in OTHERS:
        code: int = importlib.import_module(OTHERS[words[0]]).main(words[1:])
        return code
    args = parser().parse_args(words)
    try:
        with json_output(args.json) as report:
            return run_command(
                NAME, lambda: build(request_from(args), report), lambda error: disk_error(error, args.cache)
            )
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{NAME}: interrupted; finished stages are kept, the same command goes on from here\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
