"""One task distillation: a teacher, a student and text give a checkpoint that `ernie-triton build` publishes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.pipeline import Pipeline

from ..checkpoints.checkpoint import Checkpoint, read_checkpoint, write_options
from ..config.tasks import ASSETS, TaskConfig
from ..config.train import TrainConfig
from ..console import bar, say
from ..errors import CheckpointError, ConfigError, DataError
from ..filesystem import sha256_of
from ..framework import import_paddle
from ..kinds import get_builder_kind
from ..modeling.compatibility import check_fit
from ..modeling.model import PaddleEngine, build_model
from ..readers import Example
from ..readers.files.holdout import hold_out
from ..stages.data import read_file
from ..stages.draft import changed_fields, draft_manifest, tokenizer_for
from ..stages.locate import data_folder
from ..training.log import LOG
from ..training.trainer import BEST, Job, Trainer
from .run import CARD, fingerprint, finished, leave, workplace
from .soft import SoftTrainer, check_kind
from .student import make_student
from .text import read_texts


@dataclass(frozen=True, kw_only=True)
class TaskRun:
    """What to distil, from what, into what."""

    task: TaskConfig
    student: str  # a shape, or an encoder as --base-model names it
    output: Path
    text: tuple[Path, ...] = ()  # empty: no teacher, the student learns from labelled rows alone
    teacher: str = ""  # a directory, or the name of a checkpoint that ships; empty: the one that ships for the task
    labelled: bool = False  # also learn from the labels of the task's training rows
    rows: int = 0  # at most this many texts, and this many training rows; 0: all
    data_dir: Path | None = None
    steps: int = 0  # batches to train on, whatever the number of rows; 0: train.epochs
    cache: Path = Path("build")
    train: TrainConfig = field(default_factory=TrainConfig)
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True, kw_only=True)
class TaskCard:
    """What a task distillation did: card.json."""

    title: str
    task: str
    teacher: Json | None  # `name`, and its dev metrics by their names; None: labels alone
    parameters: int
    texts: int
    labelled_rows: int
    dev_rows: int
    batches: int
    best_at_batch: int
    training_seconds: int
    metrics: Mapping[str, float]  # on the dev rows, which took no part in training, in percent
    main_metric: str
    settings: Json

    @property
    def figure(self) -> float:
        """The student's main metric."""
        return self.metrics[self.main_metric]

    @property
    def teacher_figure(self) -> float | None:
        """The teacher's main metric; None without a teacher."""
        return self.teacher[self.main_metric] if self.teacher else None


def find_teacher(name: str, task: TaskConfig) -> Checkpoint:
    """A fine-tuned checkpoint of the task; CheckpointError or ConfigError if there is none or it is of another task."""
    shipped = ASSETS / "checkpoints"
    folder = Path(name) if name else ASSETS / task.checkpoint
    if name and not folder.is_dir() and (shipped / name).is_dir():
        folder = shipped / name
    if not folder.is_dir() or (not name and not task.checkpoint):
        shipped_names = ", ".join(sorted(path.name for path in shipped.iterdir() if path.is_dir()))
        message = f"--teacher {name}: no directory, and no checkpoint that ships ({shipped_names})"
        raise CheckpointError(message if name else f"task {task.name}: no checkpoint ships for it; give --teacher DIR")
    teacher = read_checkpoint(folder)
    task_on_card = _task_on_card(folder)
    shipped_folder = ASSETS / task.checkpoint if task.checkpoint else None
    if task_on_card not in (None, task.name) and folder.resolve() != shipped_folder:
        raise ConfigError(f"--teacher {name}: is fine-tuned for {task_on_card}, not for {task.name}")
    check_fit(task, teacher, ready=True)
    if not teacher.has_head:
        raise ConfigError(f"--teacher {name}: has no task head, so it is not fine-tuned for {task.name}")
    return teacher


def _task_on_card(folder: Path) -> Any:
    """The task on a checkpoint's card; None if it has no card, or one that names no task."""
    path = folder / CARD
    if not path.is_file():
        return None
    try:
        card = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise CheckpointError(f"{path}: not JSON ({error})") from None
    return card.get("task") if isinstance(card, dict) else None


def labelled_file(run: TaskRun, split: str) -> Path:
    """The task's training or dev file; DataError if there is none here."""
    data = run.task.data
    folder, _ = data_folder(data, run.data_dir, "demo", run.cache)
    file = data.train if split == "train" else data.dev or data.train
    if folder is None or not file or not (folder / file).is_file():
        raise DataError(
            f"task {run.task.name}: no {split} rows at hand; give --data-dir with its {data.folder}/ folder"
        )
    return folder / file


def labelled_rows(run: TaskRun, manifest: Manifest, split: str) -> list[Example]:
    """The task's training or dev rows."""
    rows = read_file(labelled_file(run, split), split, run.task.data, manifest)
    return rows[: run.rows or None] if split == "train" else rows


def settings_of(run: TaskRun, teacher: Checkpoint | None, student: Checkpoint) -> JsonObject:
    """Everything that decides the result, as JSON data."""
    task, splits = run.task, ("train", "dev") if run.labelled else ("dev",)
    return {
        "task": task.name,
        "labels": [vars(label) for label in task.labels],
        "limits": vars(task.limits),
        "options": task.options,
        "data": changed_fields(task.data),
        "files": {name: sha256_of(labelled_file(run, name)) for name in splits},
        "student": fingerprint(student.weights),
        "teacher": fingerprint(teacher.weights) if teacher else None,
        "text": [sha256_of(path) for path in run.text],
        "labelled": run.labelled,
        "rows": run.rows,
        "steps": run.steps,
        "train": changed_fields(run.train),
        "seed": run.seed,
    }


def distil_task(run: TaskRun) -> TaskCard:
    """Leave the student's best checkpoint in `run.output`, with card.json and log.jsonl; the card.

    An interrupted run with the same settings is resumed. Without text there is no teacher: the same student trained on
    the task's labelled rows alone, to compare with.
    """
    is_taught = bool(run.text)
    if not is_taught and not run.labelled:
        raise ConfigError("--text: give plain text for the teacher to label")
    for path in run.text:
        if not path.is_file():
            raise DataError(f"--text {path}: no such file")
    teacher = find_teacher(run.teacher, run.task)
    student = replace(make_student(run.student, teacher, run.seed), where=run.student)
    settings = settings_of(run, teacher if is_taught else None, student)
    if finished(run.output, settings):
        say(f"  {run.output}: finished already")
        return TaskCard(**json.loads((run.output / CARD).read_text(encoding="utf-8")))
    tokenizer = tokenizer_for(run.task, teacher.tokenizer)
    manifest = draft_manifest(run.task, tokenizer, teacher.config.task_options)
    check_kind(manifest)
    texts = read_texts(run.text, len(get_kind(run.task.kind).inputs), run.rows)
    train = labelled_rows(run, manifest, "train") if run.labelled else []
    dev = labelled_rows(run, manifest, "dev")
    to_train, held_out = hold_out(train, run.train.choose_rows, run.seed)
    with workplace(run.output, settings) as folder:
        job = Job(
            manifest=manifest,
            config=run.train,
            base=student,
            tokenizer=tokenizer,
            train=to_train,
            held_out=held_out,
            folder=folder,
            batches=run.steps,
            device=run.device,
            seed=run.seed,
        )
        trainer = SoftTrainer(teacher, texts, job) if is_taught else Trainer(job)
        result = trainer.run()
        if run.labelled:
            _learn(folder / BEST, manifest, train, held_out, run.device)
        else:
            _take_options(folder / BEST, teacher)
        lines = [json.dumps(row, ensure_ascii=False) + "\n" for row in trainer.progress.history]
        (folder / BEST / LOG).write_text("".join(lines), encoding="utf-8")
        metrics = score(read_checkpoint(folder / BEST), manifest, dev, run.device, "student")
        card = TaskCard(
            title=f"{run.task.title}, {'distilled into' if is_taught else 'fine-tuned from'} {Path(run.student).name}",
            task=run.task.name,
            teacher={"name": teacher.name, **score(teacher, manifest, dev, run.device, "teacher")}
            if is_taught
            else None,
            parameters=sum(value.size for value in read_checkpoint(folder / BEST).weights.values()),
            texts=len(texts),
            labelled_rows=len(train),
            dev_rows=len(dev),
            batches=result.batches,
            best_at_batch=result.batch,
            training_seconds=result.seconds,
            metrics=metrics,
            main_metric=result.main,
            settings=settings,
        )
        leave(folder / BEST, run.output, asdict(card))
    return card


def pipeline_of(checkpoint: Checkpoint, manifest: Manifest, device: str) -> Pipeline:
    """The serving code, with a checkpoint run by Paddle as the encoder."""
    import_paddle(device)
    kind = get_builder_kind(manifest.kind)
    model = build_model(kind, checkpoint, manifest, ready=True)
    model.eval()
    tokenizer = checkpoint.tokenizer
    if tokenizer.fingerprint != manifest.vocabulary_sha256:
        tokenizer = tokenizer.for_characters()  # as `tokenizer_for` did for the manifest
    return Pipeline(manifest, tokenizer, PaddleEngine(model, kind))


def score(
    checkpoint: Checkpoint, manifest: Manifest, dev: Sequence[Example], device: str, title: str
) -> dict[str, float]:
    """Dev metrics by name, in percent; title: of the progress bar."""
    with bar(len(dev), title) as shown:
        answers = pipeline_of(checkpoint, manifest, device).predict([e.texts for e in dev], progress=shown.update)
    return get_builder_kind(manifest.kind).score(dev, answers, manifest)


def _learn(
    folder: Path, manifest: Manifest, train: Sequence[Example], held_out: Sequence[Example], device: str
) -> None:
    """Store what the kind learns from labelled data besides weights."""
    kind = get_builder_kind(manifest.kind)
    learnt = kind.learn(manifest, train, held_out, lambda: pipeline_of(read_checkpoint(folder), manifest, device))
    if learnt:
        write_options(folder, learnt)


def _take_options(folder: Path, teacher: Checkpoint) -> None:
    """Without labels, the student takes what the teacher learnt besides weights."""
    if teacher.config.task_options is not None:
        write_options(folder, teacher.config.task_options)
