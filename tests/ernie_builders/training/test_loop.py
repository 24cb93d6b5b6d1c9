"""The loop that all trainings share, over one small linear layer: steps, saving, resuming, stopping, faults."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.errors import BuildError, CheckpointError, ConfigError
from ernie_builders.framework import import_paddle
from ernie_builders.training.log import append_row, cut_back, read_rows
from ernie_builders.training.loop import Loop, Progress, Ranks, Work
from ernie_builders.training.optimizer import Optimizer, OptimizerConfig, check_finite
from ernie_builders.training.state import PROGRESS, STATE, find_state, read_progress, save_state

from ..places import small_files

STEPS = 12


class Line(Work):
    """Fits y = 3x; the batch of a step follows from the step."""

    def __init__(self, save_every: int = 5, learning_rate: float = 0.1) -> None:
        paddle = import_paddle("cpu")
        self.paddle, self.save_every = paddle, save_every
        with paddle.utils.unique_name.guard():
            paddle.seed(0)
            self.layer = paddle.nn.Linear(1, 1)
        config = OptimizerConfig(learning_rate=learning_rate, warmup=0.2, weight_decay=0.01, max_grad_norm=1.0)
        self.optimizer = Optimizer(list(self.layer.named_parameters()), config)
        self.progress = Progress()
        self.steps_done: list[int] = []
        self.resumed: bool | None = None
        self.finished_at = math.inf

    def parts(self) -> Mapping[str, Any]:
        return {"model.pdparams": self.layer, **self.optimizer.parts(".pdopt")}

    def progress_json(self) -> dict[str, Any]:
        return vars(self.progress)

    def restore_progress(self, saved: Mapping[str, Any]) -> None:
        self.progress = Progress(**saved)

    def begin(self, resumed: bool) -> None:
        self.resumed = resumed

    def train_step(self) -> None:
        step = self.progress.step
        x = self.paddle.to_tensor(np.random.default_rng(step).random((4, 1), np.float32))
        self.optimizer.update([((self.layer(x) - 3 * x) ** 2).mean()], 1, step, STEPS)
        self.steps_done.append(step)

    def after_step(self) -> bool:
        return self.progress.step % self.save_every == 0 or self.progress.step == STEPS

    def is_finished(self) -> bool:
        return self.progress.step >= self.finished_at

    def weights(self) -> list[float]:
        return [value.item() for value in self.layer.parameters()]


def run(work: Line, folder: Path, **settings: Any) -> Line:
    Loop(work=work, folder=folder, steps=STEPS, title="fit", ranks=Ranks(), **settings).run()
    return work


def test_stopped_and_resumed_it_gives_the_same_weights(tmp_path: Path) -> None:
    whole = run(Line(), tmp_path / "whole")
    assert whole.steps_done == list(range(STEPS)) and whole.resumed is False
    steps: list[int] = []
    while not steps or steps[-1] < STEPS - 1:
        piece = run(Line(), tmp_path / "pieces", stop_seconds=0.0)
        assert piece.resumed is bool(steps)
        steps += piece.steps_done
    assert steps == list(range(STEPS)), "a step is missing, or was done twice"
    assert piece.weights() == whole.weights()


def test_when_it_saves(tmp_path: Path) -> None:
    saved: list[int] = []

    def saves(name: str, **settings: Any) -> list[int]:
        work = Line()
        saved.clear()
        run(work, tmp_path / name, on_save=lambda: saved.append(work.progress.step), **settings)
        return list(saved)

    assert saves("asked") == [5, 10, 12]
    assert saves("often", save_seconds=0.0) == list(range(1, STEPS + 1))
    state = find_state(tmp_path / "asked")
    assert state is not None and read_progress(state)["step"] == STEPS


def test_work_may_finish_early(tmp_path: Path) -> None:
    work = Line()
    work.finished_at = 7
    assert run(work, tmp_path).progress.step == 7


def test_a_state_that_cannot_be_read(tmp_path: Path) -> None:
    run(Line(), tmp_path)
    progress = tmp_path / STATE / PROGRESS
    text = progress.read_text(encoding="utf-8")
    for broken in ("{", json.dumps({"stage": 3})):
        progress.write_text(broken, encoding="utf-8")
        with pytest.raises(CheckpointError, match=r"progress\.json: cannot be read"):
            run(Line(), tmp_path)
    progress.write_text(text, encoding="utf-8")
    (tmp_path / STATE / "optimizer.pdopt").write_bytes(b"half")
    with pytest.raises(CheckpointError, match=r"optimizer\.pdopt: cannot be read"):
        run(Line(), tmp_path)


def test_a_state_of_another_run_is_refused(tmp_path: Path) -> None:
    run(Line(), tmp_path)

    class Other(Line):
        def restore_progress(self, saved: Mapping[str, Any]) -> None:
            raise ConfigError("other settings")

    with pytest.raises(ConfigError, match="other settings"):
        run(Other(), tmp_path)


def test_a_full_disk_keeps_the_last_state(tmp_path: Path) -> None:
    folder, parts = tmp_path / "run", {"model.pdparams": Line().layer}
    with small_files(10), pytest.raises(BuildError, match=r"cannot be saved, file too large.*nothing was saved before"):
        save_state(folder, parts, {"step": 1})
    assert find_state(folder) is None
    save_state(folder, parts, {"step": 1})
    with small_files(10), pytest.raises(BuildError, match="is kept as it was"):
        save_state(folder, parts, {"step": 2})
    state = find_state(folder)
    assert state is not None and read_progress(state) == {"step": 1}


def test_the_seed_of_dropout_depends_on_run_step_and_process() -> None:
    paddle = import_paddle("cpu")

    def draw(rank: int, seed: int, step: int) -> float:
        Ranks(rank=rank, count=2).seed(seed, step)
        value: float = paddle.rand([1]).item()
        return value

    settings = [(rank, seed, step) for rank in (0, 1) for seed in (0, 1) for step in (0, 1, 2)]
    assert len({draw(*setting) for setting in settings}) == len(settings)
    assert draw(1, 0, 2) == draw(1, 0, 2)


def test_losses_that_are_no_numbers() -> None:
    check_finite(1.0, 3, "lower it")
    for loss in (math.nan, math.inf):
        with pytest.raises(CheckpointError, match=f"student a: the loss became {loss} at step 3: lower it"):
            check_finite(loss, 3, "lower it", "student a: ")


def test_the_log_is_cut_back_to_the_step_that_a_run_resumes_from(tmp_path: Path) -> None:
    log = tmp_path / "log.jsonl"
    assert read_rows(log) == []
    cut_back(log, 3)
    assert not log.exists()
    for step in range(1, 6):
        append_row(log, {"step": step})
    with log.open("a", encoding="utf-8") as file:
        file.write('{"step": 6')  # a kill while it was written
    assert [row["step"] for row in read_rows(log)] == [1, 2, 3, 4, 5]
    cut_back(log, 3)
    assert log.read_text(encoding="utf-8") == '{"step": 1}\n{"step": 2}\n{"step": 3}\n'
