"""Distil a model into smaller ones: `ernie-triton build distill`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from ernie_runtime.command_line import CommandLine, json_output
from ernie_runtime.json_types import JsonObject

from .config.schema import parse_table
from .config.tasks import TASKS_FILE, TaskConfig, load_tasks
from .config.train import TrainConfig
from .console import run_command, say, seed
from .distillation.encoder import EncoderRun, distil_encoders
from .distillation.measure import Measurement, measure
from .distillation.recipe import Recipe
from .distillation.student import FORM
from .distillation.task import TaskRun, distil_task
from .errors import ConfigError
from .filesystem import disk_error

NAME = "ernie-triton build distill"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = CommandLine(prog=NAME, description=__doc__)
    verbs = p.add_subparsers(dest="verb", required=True, metavar="task | encoder | measure")
    task = verbs.add_parser(
        "task", help="a fine-tuned teacher labels plain text for a small student: a checkpoint to publish"
    )
    task.set_defaults(work=_task)
    task.add_argument("--task", required=True, help="a name from the tasks file")
    _text(task, "one text per line (the texts of a pair separated by a tab)")
    task.add_argument("--student", required=True, help=f"{FORM}; or an encoder as --base-model names it")
    task.add_argument(
        "--teacher", default="", help="a fine-tuned checkpoint: a directory, or the name of one that ships"
    )
    task.add_argument("--labelled", action="store_true", help="also learn from the labels of the task's training rows")
    task.add_argument("--steps", type=int, default=0, help="batches to train on (default: epochs, see --set)")
    task.add_argument(
        "--rows", type=int, default=0, help="use at most this many texts and training rows (default: all)"
    )
    _of_tasks(task)
    _common(task)
    encoder = verbs.add_parser(
        "encoder", help="an encoder teaches smaller ones over plain text, all in one pass: base models"
    )
    encoder.set_defaults(work=_encoder)
    _text(encoder, "one paragraph per line; or packed tokens, .u16 or .u16.xz")
    encoder.add_argument(
        "--student", required=True, action="append", help=f"{FORM}; or an encoder as --base-model names it; repeatable"
    )
    encoder.add_argument("--teacher", default="embedded", help="as --base-model names it (default: %(default)s)")
    _recipe(encoder)
    _common(encoder)
    compare = verbs.add_parser(
        "measure", help="one student shape on several tasks, with and without both distillations: a table"
    )
    compare.set_defaults(work=_measure)
    compare.add_argument("--tasks", default="tnews,msra_ner", help="joined by commas (default: %(default)s)")
    compare.add_argument("--student", default="2x156x6", help="a shape (default: %(default)s)")
    compare.add_argument("--text", type=Path, nargs="+", default=[], help="plain text (default: the tasks' own)")
    compare.add_argument("--labelled", type=int, default=5000, help="training rows with labels (default: %(default)s)")
    compare.add_argument(
        "--texts", type=int, default=50_000, help="texts for the teacher to label (default: %(default)s)"
    )
    compare.add_argument(
        "--task-steps", type=int, default=1000, help="batches of each run on a task (default: %(default)s)"
    )
    _recipe(compare)
    _of_tasks(compare)
    _common(compare)
    return p


def _recipe(p: argparse.ArgumentParser) -> None:
    """Add the options of the task-agnostic distillation."""
    for field in fields(Recipe):
        kind: Any = type(field.default)
        p.add_argument(f"--{field.name.replace('_', '-')}", type=kind, default=field.default, help=HELP[field.name])


def recipe_of(args: argparse.Namespace) -> Recipe:
    """The recipe of the options."""
    return Recipe(**{field.name: getattr(args, field.name) for field in fields(Recipe)})


HELP = {
    "steps": "of the optimizers (default: %(default)s)",
    "batch_size": "sequences per step (default: %(default)s)",
    "length": "tokens per sequence (default: %(default)s)",
    "learning_rate": "at its peak (default: %(default)s)",
    "warmup": "share of all steps (default: %(default)s)",
    "weight_decay": "of AdamW (default: %(default)s)",
    "max_grad_norm": "gradients are clipped to this norm (default: %(default)s)",
    "relation": "weight of the attention relations (default: %(default)s)",
    "hidden": "weight of the hidden states (default: %(default)s)",
    "relation_heads": "number of attention relation heads (default: the most that divide all hidden sizes, up to 16)",
    "characters": "share of the texts that are read character by character, as tasks with spans read them; only for a "
    "vocabulary of pieces (default: %(default)s)",
    "teacher_layer": "layer whose attention relations are learnt, from 1 (default: the last)",
    "log_every": "steps between rows of log.jsonl (default: %(default)s)",
    "evaluate_every": "steps between held-out losses (default: %(default)s)",
    "save_seconds": "seconds between saved states, besides one at each evaluation (default: %(default)s)",
}


def _text(p: argparse.ArgumentParser, form: str) -> None:
    p.add_argument("--text", type=Path, nargs="+", required=True, help=f"plain text, UTF-8, {form}")


def _of_tasks(p: argparse.ArgumentParser) -> None:
    p.add_argument("--tasks-file", type=Path, default=TASKS_FILE, help="TOML file with the tasks")
    p.add_argument("--data-dir", type=Path, help="folder with the task's data folder (default: the sample that ships)")
    p.add_argument(
        "--cache", type=Path, default=Path("build"), help="where archives are unpacked (default: %(default)s)"
    )
    p.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a hyperparameter, e.g. epochs=5")


def _common(p: argparse.ArgumentParser) -> None:
    p.add_argument("--output", type=Path, required=True, help="folder for the result")
    p.add_argument("--seed", type=seed, default=0, help="of all random numbers")
    p.add_argument("--device", default="cpu", help="cpu, gpu or gpu:N (default: %(default)s)")
    p.add_argument("--json", action="store_true", help="print one object: the result's folder and figures")


def task_of(name: str, file: Path) -> TaskConfig:
    """The task of that name; ConfigError if there is none."""
    tasks = load_tasks(file)
    if name not in tasks:
        raise ConfigError(f"--task: {name!r} is not in {file.name}; it has {', '.join(tasks)}")
    return tasks[name]


def changes(sets: Sequence[str]) -> JsonObject:
    """The values of --set, by field of TrainConfig; ConfigError for an unknown field."""
    names, values = [field.name for field in fields(TrainConfig)], {}
    for item in sets:
        key, sign, value = item.partition("=")
        if not sign or key not in names:
            raise ConfigError(f"--set {item}: expected NAME=VALUE with NAME one of {', '.join(names)}")
        try:
            values[key] = json.loads(value)
        except ValueError:
            raise ConfigError(f"--set {item}: {value!r} is not a number") from None
    return values


def hyperparameters(task: TaskConfig, sets: Sequence[str]) -> TrainConfig:
    """The task's hyperparameters with those of --set; without early stopping, and without dropout by default."""
    overrides = {"dropout": 0.0, "patience": 1_000_000}
    return parse_table(TrainConfig, {**vars(task.train), **overrides, **changes(sets)}, "--set")


def _encoder(args: argparse.Namespace) -> JsonObject:
    run = EncoderRun(
        students=tuple(args.student),
        text=tuple(args.text),
        output=args.output,
        teacher=args.teacher,
        recipe=recipe_of(args),
        seed=args.seed,
        device=args.device,
    )
    card = distil_encoders(run)
    for name, student in card.students.items():
        say(
            f"{args.output / name}: {student.parameters / 1e6:.1f} M parameters, held-out loss "
            f"{student.held_out_before['loss']:.4f} before, {student.held_out['loss']:.4f} after"
        )
    say(
        f"fine-tune one: ernie-triton build --profile full --base-model {args.output}/NAME --tasks TASK --data-dir DATA"
    )
    return {"output": str(args.output), **asdict(card)}


def _measure(args: argparse.Namespace) -> JsonObject:
    tasks = tuple(task_of(name.strip(), args.tasks_file) for name in args.tasks.split(",") if name.strip())
    if args.data_dir is None:
        raise ConfigError("--data-dir: give the folder with the tasks' data")
    for name in ("labelled", "texts", "task_steps"):
        if getattr(args, name) < 1:
            raise ConfigError(f"--{name.replace('_', '-')} {getattr(args, name)}: must be above 0")
    measured = measure(
        Measurement(
            tasks=tasks,
            student=args.student,
            output=args.output,
            data_dir=args.data_dir,
            text=tuple(args.text),
            labelled=args.labelled,
            texts=args.texts,
            steps=args.task_steps,
            train=changes(args.set),
            recipe=recipe_of(args),
            cache=args.cache,
            seed=args.seed,
            device=args.device,
        )
    )
    say(measured.table)
    cards = {task: {column: asdict(card) for column, card in by.items()} for task, by in measured.cards.items()}
    return {"output": str(args.output), "tasks": cards}


def _task(args: argparse.Namespace) -> JsonObject:
    task = task_of(args.task, args.tasks_file)
    for name in ("rows", "steps"):
        if getattr(args, name) < 0:
            raise ConfigError(f"--{name} {getattr(args, name)}: must be 0 or above")
    run = TaskRun(
        task=task,
        student=args.student,
        output=args.output,
        text=tuple(args.text),
        teacher=args.teacher,
        labelled=args.labelled,
        rows=args.rows,
        data_dir=args.data_dir,
        steps=args.steps,
        cache=args.cache,
        train=hyperparameters(task, args.set),
        seed=args.seed,
        device=args.device,
    )
    card = distil_task(run)
    teacher = "" if card.teacher_figure is None else f", the teacher {card.teacher_figure:.2f}"
    say(f"{args.output}: {card.parameters / 1e6:.1f} M parameters, dev {card.main_metric} {card.figure:.2f}{teacher}")
    say(f"publish it: ernie-triton build --tasks {task.name} --checkpoint {task.name}={args.output}")
    return {"output": str(args.output), **asdict(card)}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 done, 1 a fault (one line), 2 usage, 130 interrupted."""
    args = parser().parse_args(argv)
    try:
        with json_output(args.json) as report:
            return run_command(NAME, lambda: report(args.work(args)), lambda error: disk_error(error, args.output))
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{NAME}: interrupted; the same command goes on from where it was\n")
        return 130


if __name__ == "__main__":
    sys.exit(main())
