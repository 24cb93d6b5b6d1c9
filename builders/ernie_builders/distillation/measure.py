"""Compare both distillations: one student shape on several tasks, every run with the same number of steps."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from ernie_runtime.json_types import Json

from ..config.tasks import TaskConfig, bare_manifest
from ..console import say
from ..errors import ConfigError
from ..stages.data import read_file
from ..stages.locate import data_folder
from .encoder import EncoderCard, EncoderRun, distil_encoders
from .recipe import Recipe
from .student import parse_shape
from .task import TaskCard, TaskRun, distil_task

# Column -> (what the student starts from, whether a teacher labels text for it).
COLUMNS = {
    "labels only": ("shape", False),
    "teacher's outputs": ("shape", True),
    "random, labels only": ("random", False),
    "distilled encoder, labels only": ("distilled", False),
    "distilled encoder, teacher's outputs": ("distilled", True),
}


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What to compare, and on how many rows."""

    tasks: tuple[TaskConfig, ...]
    student: str  # a shape
    output: Path
    data_dir: Path
    text: tuple[Path, ...] = ()  # for the task-agnostic distillation; none: the tasks' own texts
    labelled: int = 5000  # training rows whose labels are used
    texts: int = 50_000  # training rows whose text the teacher labels
    steps: int = 1000  # of every fine-tuning and task distillation
    train: Json = field(default_factory=dict)  # fields of TrainConfig
    recipe: Recipe = field(default_factory=Recipe)  # of the task-agnostic distillation
    cache: Path = Path("build")
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What the runs gave."""

    table: str  # in Markdown, with its conditions
    cards: Mapping[str, Mapping[str, TaskCard]]  # task -> column -> its run


def measure(m: Measurement) -> Measured:
    """Run what is not finished yet; the table is also written to `output`/table.md."""
    if parse_shape(m.student) is None:
        raise ConfigError(f"--student {m.student}: give a shape, such as 2x156x6")
    if len(m.tasks) < 1:
        raise ConfigError("--tasks: give at least one")
    m.output.mkdir(parents=True, exist_ok=True)
    texts = {task.name: _texts(m, task) for task in m.tasks}
    say(f"[encoder] {m.student} from the embedded encoder, {m.recipe.steps:,} steps")
    encoder = EncoderRun(
        students=(m.student,),
        text=m.text or tuple(texts.values()),
        output=m.output / "encoder",
        recipe=m.recipe,
        seed=m.seed,
        device=m.device,
    )
    agnostic = distil_encoders(encoder)
    starts = {"shape": m.student, "random": f"random:{m.student}", "distilled": str(m.output / "encoder" / m.student)}
    cards: dict[str, dict[str, TaskCard]] = {task.name: {} for task in m.tasks}
    for task in m.tasks:
        for number, (column, (start, is_taught)) in enumerate(COLUMNS.items()):
            say(f"[{task.name}] {column}")
            run = TaskRun(
                task=task,
                student=starts[start],
                output=m.output / task.name / f"{number}-{start}-{'taught' if is_taught else 'labels'}",
                text=(texts[task.name],) if is_taught else (),
                labelled=not is_taught,
                rows=m.texts if is_taught else m.labelled,
                steps=m.steps,
                data_dir=m.data_dir,
                cache=m.cache,
                train=replace(task.train, **{"dropout": 0.0, "patience": 1_000_000, **m.train}),
                seed=m.seed,
                device=m.device,
            )
            run.output.parent.mkdir(parents=True, exist_ok=True)
            cards[task.name][column] = distil_task(run)
    table = "\n".join([*_table(cards), "", *_conditions(m, cards, agnostic), ""])
    (m.output / "table.md").write_text(table, encoding="utf-8")
    return Measured(table=table, cards=cards)


def _texts(m: Measurement, task: TaskConfig) -> Path:
    """Write the texts of a task's training rows, one per line, without their labels."""
    path = m.output / f"{task.name}.txt"
    folder, _ = data_folder(task.data, m.data_dir, "full", m.cache)
    if folder is None or not task.data.train:
        raise ConfigError(f"task {task.name}: has no training text")
    rows = read_file(folder / task.data.train, "train", task.data, bare_manifest(task))
    lines = ["\t".join(" ".join(text.split()) for text in row.texts) for row in rows]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


def _table(cards: Mapping[str, Mapping[str, TaskCard]]) -> list[str]:
    head = ["task", "dev figure", *COLUMNS, "teacher"]
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]
    for task, by_column in cards.items():
        taught = next(card for card in by_column.values() if card.teacher)
        figures = [f"{card.figure:.2f}" for card in by_column.values()]
        lines.append(f"| {' | '.join([task, taught.main_metric, *figures, format(taught.teacher_figure, '.2f')])} |")
    return lines


def _conditions(m: Measurement, cards: Mapping[str, Mapping[str, TaskCard]], agnostic: EncoderCard) -> list[str]:
    student = agnostic.students[m.student]
    rows = "; ".join(
        f"{task}: {max(card.labelled_rows for card in by_column.values()):,} rows with labels, "
        f"{max(card.texts for card in by_column.values()):,} texts without, "
        f"{next(iter(by_column.values())).dev_rows:,} dev rows"
        for task, by_column in cards.items()
    )
    every_card = [card for by_column in cards.values() for card in by_column.values()]
    seconds = agnostic.training_seconds + sum(card.training_seconds for card in every_card)
    changed = ", ".join(f"{name}={value}" for name, value in m.train.items()) or "the tasks file's"
    return [
        f"Student {m.student}, {student.parameters / 1e6:.1f} M parameters, {m.steps:,} batches each. {rows}; "
        f"hyperparameters: {changed}; dropout 0, seed {m.seed}.",
        f"Task-agnostic: {m.recipe.steps:,} steps of {m.recipe.batch_size} x {m.recipe.length} tokens, learning rate "
        f"{m.recipe.learning_rate:g}; held-out loss {student.held_out_before['loss']:.3f} before, "
        f"{student.held_out['loss']:.3f} after.",
        f"{_processor()}, {os.environ.get('OMP_NUM_THREADS', 'all')} threads, device {m.device}: "
        f"{seconds / 60:.0f} minutes of training in all.",
    ]


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())
