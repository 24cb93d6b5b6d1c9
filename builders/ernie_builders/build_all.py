"""Build tasks into a Triton model repository: `python builders/build_all.py`, or `ernie-triton build`."""

from __future__ import annotations

import argparse
import contextlib
import importlib
import json
import sys
import time
from itertools import chain
from pathlib import Path
from typing import Any

from ernie_builders.checkpoints.checkpoint import Checkpoint, read_checkpoint
from ernie_builders.compat.choice import choose
from ernie_builders.config.tasks import ASSETS, TaskConfig, load_tasks
from ernie_builders.config.variants import FULL
from ernie_builders.console import run_command, say
from ernie_builders.dry_run.compat import planned
from ernie_builders.errors import ConfigError, DataError, PublishError
from ernie_builders.filesystem import disk_error
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.compatibility import check_fit
from ernie_builders.modeling.model import find_base_model
from ernie_builders.options import parser
from ernie_builders.presets.overrides import picks_itself, with_changes
from ernie_builders.presets.presets import choice_for, task_names
from ernie_builders.registry.saving import check_comparable, check_saving
from ernie_builders.repository.staging import check_all_free
from ernie_builders.stages import Context, run_stage
from ernie_builders.stages.locate import data_folder

# `ernie-triton build NAME ...`: what makes encoders and small models, not a repository.
OTHERS = {
    "pretrain": "ernie_builders.pretrain",
    "distill": "ernie_builders.distill",
    "convert-encoder": "ernie_builders.convert_encoder",
}


def chosen_tasks(args: argparse.Namespace) -> list[TaskConfig]:
    """The tasks asked for, with --preset and --set applied."""
    tasks = load_tasks(args.tasks_file)
    names = list(dict.fromkeys(n.strip() for n in args.tasks.split(",") if n.strip()))
    if args.tasks == "all" and not (names := task_names(args.preset, tasks)):
        raise ConfigError(
            f"--preset {args.preset}: {args.tasks_file.name} has no task for it; --dry-run says what to add"
        )
    for name in names:
        if name not in tasks:
            raise ConfigError(f"--tasks: {name!r} is not in {args.tasks_file.name}; it has {', '.join(tasks)}")
    if not names:
        raise ConfigError(f"--tasks: names no task; {args.tasks_file.name} has {', '.join(tasks)}")
    return [with_changes(tasks[name], args) for name in names]


def _checkpoints(args: argparse.Namespace, tasks: list[TaskConfig]) -> dict[str, Path]:
    found = {}
    for item in args.checkpoint:
        name, sign, folder = item.partition("=")
        if not sign or not folder:
            raise ConfigError(f"--checkpoint {item}: expected TASK=DIR")
        if name not in {task.name for task in tasks}:
            raise ConfigError(f"--checkpoint {item}: task {name!r} is not among --tasks")
        found[name] = Path(folder)
    return found


def takes_shipped(task: TaskConfig, args: argparse.Namespace) -> bool:
    """Whether the checkpoint that ships is published: the full profile, a base model and a preset train instead."""
    if args.base_model or args.preset or (args.profile == "full" and get_builder_kind(task.kind).trains):
        return False
    return bool(task.checkpoint) and (ASSETS / task.checkpoint).is_dir()


def make_context(task: TaskConfig, args: argparse.Namespace, checkpoint: Path | None) -> Context:
    """Find weights and data for one task."""
    kind, shipped = get_builder_kind(task.kind), ASSETS / task.checkpoint
    card: dict[str, Any] = {}
    source: Checkpoint
    ready = True
    if checkpoint is not None:
        if args.preset:
            raise ConfigError(
                f"--preset {args.preset} trains, --checkpoint {task.name}={checkpoint} does not: give one"
            )
        source = read_checkpoint(checkpoint)
    elif takes_shipped(task, args):
        source = read_checkpoint(shipped)
        card = json.loads((shipped / "card.json").read_text(encoding="utf-8"))
    else:
        source, ready = find_base_model(args.base_model or task.base_model, args.seed), False
    source = kind.start(source)
    check_fit(task, source, ready)
    if ready and kind.trains and kind.needs_head and not source.has_head:
        raise ConfigError(f"{source.where}: has no task head, so it is not fine-tuned; give it as --base-model instead")
    folder, split = data_folder(task.data, args.data_dir, args.profile, args.cache)
    if folder is None and not ready and kind.trains:
        raise DataError(
            f"task {task.name}: no sample ships for it; give --data-dir with its {task.data.folder}/ folder"
        )
    return Context(
        task,
        args.profile,
        source,
        ready,
        folder,
        split,
        args.output,
        args.cache,
        args.device,
        args.devices,
        args.seed,
        card,
        _transfer_folders(task, args),
        args.force,
        args.pick or FULL.name,
    )


def _transfer_folders(task: TaskConfig, args: argparse.Namespace) -> dict[str, Path]:
    """The folders of the further sets to evaluate on, where --data-dir has them."""
    found = {}
    for name, data in task.transfer.items():
        with contextlib.suppress(DataError):
            folder, _ = data_folder(data, args.data_dir, "demo", args.cache)
            if folder is not None:
                found[name] = folder
    return found


def _ready_made(tasks: list[TaskConfig], checkpoints: dict[str, Path], args: argparse.Namespace) -> list[TaskConfig]:
    """The tasks that the demo profile can publish without hours of training; a line about the others."""
    waiting = [
        task.name
        for task in tasks
        if task.checkpoint and task.name not in checkpoints and not args.base_model and not takes_shipped(task, args)
    ]
    if waiting:
        say(f"left out, as no checkpoint ships for them yet: {', '.join(waiting)} (--profile full trains them)")
    return [task for task in tasks if task.name not in waiting]


def build(args: argparse.Namespace) -> None:
    """Build every task asked for, one after the other."""
    from ernie_builders.stages.order import run_task, steps

    if args.dry_run:
        from ernie_builders.dry_run.plan import Build, dry_run, show

        more = planned(args)
        build_parts = (chosen_tasks, with_changes, _checkpoints, takes_shipped, make_context, steps, run_task)
        plan = dry_run(args, Build(*build_parts))
        show(chain(plan, more))
        return
    tasks = chosen_tasks(args)
    check_saving(args, tasks)
    if args.until == "publish":
        check_all_free(args.output, tasks)
    checkpoints = _checkpoints(args, tasks)
    if args.tasks == "all" and args.profile == "demo":
        tasks = _ready_made(tasks, checkpoints, args)
    check_comparable(args, tasks, checkpoints, make_context)
    compat = choose(args.compat, tasks, args.until)
    for line in compat.lines():
        say(f"[compat] {line}")
    before = load_tasks(args.tasks_file)
    candidates = {task.name for task in tasks if picks_itself(before[task.name], args)}
    refused: list[str] = []
    for number, task in enumerate(tasks, 1):
        started = time.monotonic()
        say(f"[{task.name}] {task.title} ({number} of {len(tasks)})")
        if choice := choice_for(args.preset, task.name, args.base_model or task.base_model):
            say(f"[{task.name}] preset {choice.preset.name}: {choice.origin}")
        context = make_context(task, args, checkpoints.get(task.name))
        done = run_task(context, args.until, run_stage)
        if form := compat.forms.get(task.name):
            from ernie_builders.compat.publish import publish as publish_compat

            say(f"[{task.name}] compat: {publish_compat(form, task, args.output)}")
        if args.save_checkpoint is not None and not context.ready and "evaluate" in done:
            from ernie_builders.registry.saving import save

            line = save(args, context, done, make_context)
            say(f"[{task.name}] {line}")
        lines = done["publish"].figures["refused"] if "publish" in done else ()
        if task.name in candidates:  # nobody asked for one of them by name
            for line in lines:
                say(f"[{task.name}] not taken: {line}")
        else:
            refused += [f"{task.name} {line}" for line in lines]
        say(f"[{task.name}] finished in {time.monotonic() - started:.1f} s")
    if refused and not args.force:
        raise PublishError(f"refused by the gate, not published: {'; '.join(refused)} (--force publishes them too)")


def main(argv: list[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a fault (one line), 2 usage, 130 interrupted."""
    words = sys.argv[1:] if argv is None else list(argv)
    if words and words[0] in OTHERS:
        code: int = importlib.import_module(OTHERS[words[0]]).main(words[1:])
        return code
    args = parser().parse_args(words)
    try:
        return run_command("ernie-triton build", lambda: build(args), lambda error: disk_error(error, args.cache))
    except KeyboardInterrupt:
        sys.stderr.write(
            "\nernie-triton build: interrupted; finished stages are kept, the same command goes on from here\n"
        )
        return 130


if __name__ == "__main__":
    sys.exit(main())
