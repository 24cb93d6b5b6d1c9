"""Task-agnostic distillation: one pass over the teacher teaches several students of different sizes.

Source: the online distillation of ERNIE 3.0 (Wang et al. 2021) for teaching several students at once; what is copied:
distillation/relations.py. A run that was killed goes on to the same weights: batches follow from seed and step.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..checkpoints.checkpoint import Checkpoint, write_checkpoint
from ..console import bar, say
from ..errors import CheckpointError, ConfigError
from ..filesystem import find_whole, whole_folder, write_file
from ..framework import import_paddle
from ..training.trainer import learning_rate
from .copying import Student, Teacher
from .recipe import Recipe
from .run import LOG
from .text import batch_indices

PROGRESS = "progress.json"


@dataclass
class Progress:
    """What a resumed run needs to know besides weights."""

    done: int = 0  # steps
    seconds: float = 0.0
    since_log: int = 0
    sums: dict[str, list[float]] = field(default_factory=dict)  # of each student's losses since the last line


class Online:
    """Teaches all students over the same batches; `run` leaves a directory a student in the folder."""

    def __init__(
        self,
        teacher: Checkpoint,
        students: Mapping[str, Checkpoint],
        sequences: tuple[np.ndarray, np.ndarray],
        folder: Path,
        recipe: Recipe,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.paddle = import_paddle(device)
        self.train, self.held_out = sequences  # int64 [N, L]
        self.folder, self.recipe, self.seed = folder, recipe, seed
        self.teacher = Teacher(teacher, recipe.teacher_layer)
        self.students = [Student(name, start, self.teacher, recipe, seed) for name, start in students.items()]
        self.progress = Progress()

    def run(self) -> dict[str, Any]:
        """Train to the end; the last held-out losses by student, and seconds."""
        with self.paddle.utils.unique_name.guard():
            return self._run()

    def _run(self) -> dict[str, Any]:
        recipe, progress = self.recipe, self.progress
        self._restore()
        progress = self.progress
        started = saved = time.monotonic()
        before = progress.seconds
        if not progress.done:
            self._evaluate()
        with bar(recipe.steps, "distil", "step", progress.done) as shown:
            while progress.done < recipe.steps:
                self._step(progress.done)
                progress.done += 1
                progress.since_log += 1
                progress.seconds = before + time.monotonic() - started
                shown.update()
                if progress.done % recipe.log_every == 0:
                    self._log()
                due = progress.done % recipe.evaluate_every == 0 or progress.done == recipe.steps
                if due:
                    self._evaluate()
                if due or time.monotonic() - saved >= recipe.save_seconds:
                    self._save()
                    saved = time.monotonic()
        for student in self.students:
            config = student.start.config
            write_checkpoint(self.folder / student.name, config, student.weights(), student.start.vocabulary)
        last = [row for row in read_log(self.folder / LOG) if "held_out" in row]
        return {"held_out": last[-1]["held_out"], "before": last[0]["held_out"], "seconds": round(progress.seconds)}

    def _step(self, step: int) -> None:
        recipe = self.recipe
        rate = learning_rate(step, recipe.steps, recipe.learning_rate, recipe.warmup)
        ids = self.paddle.to_tensor(self.train[batch_indices(len(self.train), recipe.batch_size, step, self.seed)])
        self.teacher.see(ids)
        for student in self.students:
            student.model.train()
            student.optimizer.set_lr(rate)
            relations, hidden = student.losses(ids, self.teacher, recipe)
            loss = recipe.relation * relations + recipe.hidden * hidden
            loss.backward()
            student.optimizer.step()
            student.optimizer.clear_grad()
            values = [float(loss), float(relations), float(hidden)]
            if not all(map(math.isfinite, values)):
                raise CheckpointError(
                    f"student {student.name}: the loss became {values[0]} at step {step}: lower --learning-rate"
                )
            sums = self.progress.sums.setdefault(student.name, [0.0, 0.0, 0.0])
            self.progress.sums[student.name] = [a + b for a, b in zip(sums, values, strict=True)]

    def _log(self) -> None:
        """A line of log.jsonl: mean losses since the last one."""
        progress = self.progress
        means = {
            name: dict(zip(("loss", "relation", "hidden"), (s / progress.since_log for s in sums), strict=True))
            for name, sums in progress.sums.items()
        }
        self._line(students=means, tokens=progress.done * self.recipe.batch_size * self.train.shape[1])
        progress.sums, progress.since_log = {}, 0

    def _evaluate(self) -> None:
        """A line of log.jsonl with the held-out losses."""
        size, found = self.recipe.batch_size, {s.name: np.zeros(3) for s in self.students}
        for start in range(0, len(self.held_out), size):
            rows = self.held_out[start : start + size]
            ids = self.paddle.to_tensor(rows)
            self.teacher.see(ids)
            for student in self.students:
                student.model.eval()
                with self.paddle.no_grad():
                    relations, hidden = map(float, student.losses(ids, self.teacher, self.recipe))
                loss = self.recipe.relation * relations + self.recipe.hidden * hidden
                found[student.name] += np.array([loss, relations, hidden]) * len(rows) / len(self.held_out)
        names = ("loss", "relation", "hidden")
        means = {name: dict(zip(names, values.tolist(), strict=True)) for name, values in found.items()}
        self._line(held_out=means)
        shown = ", ".join(f"{name} {values['loss']:.4f}" for name, values in means.items())
        say(f"    step {self.progress.done}: held-out loss {shown}")

    def _line(self, **fields: Any) -> None:
        row = {"step": self.progress.done, "seconds": round(self.progress.seconds, 1), **fields}
        with (self.folder / LOG).open("a", encoding="utf-8") as log:
            log.write(json.dumps(row) + "\n")

    def _save(self) -> None:
        """Weights, optimizers and progress, complete or not at all."""
        with whole_folder(self.folder / "state") as new:
            for student in self.students:
                for name, part in student.parts().items():
                    self.paddle.save(part.state_dict(), str(new / f"{student.name}.{name}"))
            (new / PROGRESS).write_text(json.dumps(vars(self.progress)), encoding="utf-8")

    def _restore(self) -> None:
        state, log = find_whole(self.folder / "state"), self.folder / LOG
        if state is None:
            log.unlink(missing_ok=True)
            return
        self.progress = Progress(**json.loads((state / PROGRESS).read_text(encoding="utf-8")))
        for student in self.students:
            for name, part in student.parts().items():
                part.set_state_dict(self.paddle.load(str(state / f"{student.name}.{name}")))
        kept = [row for row in read_log(log) if row["step"] <= self.progress.done]
        write_file(log, "".join(json.dumps(row) + "\n" for row in kept))
        say(f"    resumed after step {self.progress.done}")


def read_log(path: Path) -> list[dict[str, Any]]:
    """The lines of a log; one that a kill cut off is left out."""
    rows: list[dict[str, Any]] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def student_names(asked: Sequence[str]) -> list[str]:
    """A folder name for each student; ConfigError where two are the same."""
    names = [Path(text).name.replace(":", "_") for text in asked]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise ConfigError(f"--student {twice}: given twice")
    return names
