"""Task-agnostic distillation: one pass over the teacher teaches several students of different sizes.

Source: the online distillation of ERNIE 3.0 (Wang et al. 2021) for teaching several students at once. What is learnt:
distillation/relations.py.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.json_types import Json, JsonObject

from ..checkpoints.checkpoint import Checkpoint, write_checkpoint
from ..console import say
from ..errors import ConfigError
from ..framework import import_paddle
from ..training.log import LOG, append_row, cut_back, read_rows
from ..training.loop import Loop, Progress, Ranks, Work
from ..training.optimizer import check_finite
from ..training.state import Parts
from .copying import Student, Teacher
from .recipe import Recipe
from .text import batch_indices

LOSSES = ("loss", "relation", "hidden")  # the weighted sum, attention relations, hidden states


@dataclass(kw_only=True)
class DistillationProgress(Progress):
    """How far a distillation is."""

    since_log: int = 0  # steps
    sums: dict[str, list[float]] = field(default_factory=dict)  # student -> sums of LOSSES since the last log row


@dataclass(frozen=True, kw_only=True)
class DistillationResult:
    """Held-out losses by student and name of the loss, before the first step and after the last; the time it took."""

    before: Mapping[str, Mapping[str, float]]
    after: Mapping[str, Mapping[str, float]]
    seconds: int


@dataclass(frozen=True, kw_only=True)
class DistillationJob:
    """What to distil, on what, and where to keep it."""

    teacher: Checkpoint
    students: Mapping[str, Checkpoint]  # folder name -> initial weights
    train: np.ndarray  # int64 [N, L], token ids
    held_out: np.ndarray  # int64 [M, L]
    folder: Path
    recipe: Recipe
    seed: int = 0
    device: str = "cpu"


class EncoderDistiller(Work):
    """Teaches all students over the same batches; `run` leaves a directory per student in the folder."""

    def __init__(self, job: DistillationJob) -> None:
        self.job = job
        self.paddle = import_paddle(job.device)
        self.teacher = Teacher(job.teacher, job.recipe.teacher_layer)
        self.students = [
            Student(name, start, self.teacher, job.recipe, job.seed) for name, start in job.students.items()
        ]
        self.progress: DistillationProgress = DistillationProgress()
        self._log_file = job.folder / LOG

    def run(self) -> DistillationResult:
        """Train to the end."""
        job = self.job
        Loop(
            work=self,
            folder=job.folder,
            steps=job.recipe.steps,
            title="distil",
            ranks=Ranks(),
            save_seconds=job.recipe.save_seconds,
        ).run()
        for student in self.students:
            start = student.start
            write_checkpoint(job.folder / student.name, start.config, student.weights(), start.tokenizer)
        evaluations = [row["held_out"] for row in read_rows(self._log_file) if "held_out" in row]
        return DistillationResult(before=evaluations[0], after=evaluations[-1], seconds=round(self.progress.seconds))

    def begin(self, resumed: bool) -> None:
        """A new run evaluates first; a resumed one removes what the log has of later steps."""
        if resumed:
            cut_back(self._log_file, self.progress.step)
            say(f"    resumed after step {self.progress.step}")
        else:
            self._log_file.unlink(missing_ok=True)
            self._evaluate()

    def train_step(self) -> None:
        """One step of each student's optimizer, on one batch."""
        step, recipe = self.progress.step, self.job.recipe
        rows = batch_indices(len(self.job.train), recipe.batch_size, step, self.job.seed)
        ids = self.paddle.to_tensor(self.job.train[rows])
        self.teacher.see(ids)
        for student in self.students:
            student.model.train()
            relations, hidden = student.losses(ids, self.teacher, recipe)
            loss = recipe.relation * relations + recipe.hidden * hidden
            student.optimizer.update([loss], 1, step, recipe.steps)
            values = [float(loss), float(relations), float(hidden)]
            for value in values:
                check_finite(value, step, "lower --learning-rate", f"student {student.name}: ")
            sums = self.progress.sums.setdefault(student.name, [0.0] * len(LOSSES))
            self.progress.sums[student.name] = [a + b for a, b in zip(sums, values, strict=True)]

    def after_step(self) -> bool:
        """Log and evaluate if it is time; save after each evaluation."""
        progress, recipe = self.progress, self.job.recipe
        progress.since_log += 1
        if progress.step % recipe.log_every == 0:
            self._log()
        is_due = progress.step % recipe.evaluate_every == 0 or progress.step == recipe.steps
        if is_due:
            self._evaluate()
        return is_due

    def _log(self) -> None:
        """A row of log.jsonl: mean losses since the row before."""
        progress = self.progress
        means = {
            name: dict(zip(LOSSES, (value / progress.since_log for value in sums), strict=True))
            for name, sums in progress.sums.items()
        }
        self._append(students=means, tokens=progress.step * self.job.recipe.batch_size * self.job.train.shape[1])
        progress.sums, progress.since_log = {}, 0

    def _evaluate(self) -> None:
        """A row of log.jsonl with the held-out losses."""
        job, recipe = self.job, self.job.recipe
        sums = {student.name: np.zeros(len(LOSSES)) for student in self.students}
        for start in range(0, len(job.held_out), recipe.batch_size):
            rows = job.held_out[start : start + recipe.batch_size]
            ids = self.paddle.to_tensor(rows)
            self.teacher.see(ids)
            for student in self.students:
                student.model.eval()
                with self.paddle.no_grad():
                    relations, hidden = map(float, student.losses(ids, self.teacher, recipe))
                loss = recipe.relation * relations + recipe.hidden * hidden
                sums[student.name] += np.array([loss, relations, hidden]) * len(rows) / len(job.held_out)
        means = {name: dict(zip(LOSSES, values.tolist(), strict=True)) for name, values in sums.items()}
        self._append(held_out=means)
        shown = ", ".join(f"{name} {losses['loss']:.4f}" for name, losses in means.items())
        say(f"    step {self.progress.step}: held-out loss {shown}")

    def _append(self, **fields: Any) -> None:
        row = {"step": self.progress.step, "seconds": round(self.progress.seconds, 1), **fields}
        append_row(self._log_file, row)

    def parts(self) -> Parts:
        """What a saved state holds, of all students."""
        return {f"{student.name}.{name}": part for student in self.students for name, part in student.parts().items()}

    def progress_json(self) -> JsonObject:
        """As JSON data."""
        progress = self.progress
        return {
            "done": progress.step,
            "seconds": progress.seconds,
            "since_log": progress.since_log,
            "sums": progress.sums,
        }

    def restore_progress(self, saved: Json) -> None:
        """`workplace` has checked already that the settings are the same."""
        self.progress = DistillationProgress(
            step=saved["done"], seconds=saved["seconds"], since_log=saved["since_log"], sums=saved["sums"]
        )


def student_names(asked: Sequence[str]) -> list[str]:
    """A folder name for each student; ConfigError if two are the same."""
    names = [Path(text).name.replace(":", "_") for text in asked]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"--student {twice}: given twice")
    return names
