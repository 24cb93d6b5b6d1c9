"""The training loop that fine-tuning, pre-training and distillation share: steps, saving, resuming, stopping.

Every random choice comes from the seed and the step, so a run that is killed and resumed gives the weights of one that
was not. Under `launch.py` each process takes its share of a step's batches, and the first one alone saves.
"""

from __future__ import annotations

import math
import os
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ernie_runtime.json_types import Json, JsonObject

from ..console import bar
from ..framework import import_paddle
from .state import PROGRESS, Parts, find_state, load_parts, read_progress, save_state, unreadable

SEEDS = 1_000_003  # seeds of two runs do not meet before this step


@dataclass(frozen=True, kw_only=True)
class Ranks:
    """This process among those that train together."""

    rank: int = 0
    count: int = 1

    @classmethod
    def join(cls) -> Ranks:
        """This process as its launcher numbered it, connected to the others."""
        count = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
        if count > 1:
            import_paddle().distributed.init_parallel_env()
        return cls(rank=int(os.environ.get("PADDLE_TRAINER_ID", "0")), count=count)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that saves and prints."""
        return self.rank == 0

    def agree(self, value: float) -> float:
        """The first process's value: all must decide the same, or some would wait for ever."""
        if self.count == 1:
            return value
        paddle = import_paddle()
        shared = paddle.to_tensor([value], dtype="float64")
        paddle.distributed.broadcast(shared, src=0)
        return float(shared.item())

    def seed(self, seed: int, step: int) -> None:
        """Seed Paddle (dropout) for a step of this process."""
        import_paddle().seed(seed * SEEDS + step * self.count + self.rank)


@dataclass(kw_only=True)
class Progress:
    """How far a training is."""

    step: int = 0  # optimizer steps done
    seconds: float = 0.0


class Work(ABC):
    """What one kind of training gives the loop."""

    progress: Progress

    @abstractmethod
    def parts(self) -> Parts:
        """File name -> the layer or optimizer whose state the file holds."""

    @abstractmethod
    def progress_json(self) -> JsonObject:
        """The progress as JSON data, for the saved state."""

    @abstractmethod
    def restore_progress(self, saved: Json) -> None:
        """Take what `progress_json` gave; ConfigError if it is of a run with other settings."""

    @abstractmethod
    def begin(self, resumed: bool) -> None:
        """Called once before the first step, with the state restored if there was one."""

    @abstractmethod
    def train_step(self) -> None:
        """One optimizer step over this process's batches; `progress.step` counts those before it."""

    @abstractmethod
    def after_step(self) -> bool:
        """Log and evaluate if it is time; returns whether to save now. `progress` already counts the step."""

    def is_finished(self) -> bool:
        """Whether to stop before the last step."""
        return False

    def figures(self) -> dict[str, str]:
        """What the progress bar shows beside the step."""
        return {}


@dataclass(frozen=True, kw_only=True)
class Loop:
    """Runs the work."""

    work: Work
    folder: Path  # `state/` is kept in it
    steps: int
    title: str  # of the progress bar
    ranks: Ranks
    save_seconds: float = math.inf  # save at least so often, besides when the work asks for it
    stop_seconds: float = math.inf  # save and stop after so long
    on_save: Callable[[], None] | None = None  # called in the first process after each save

    def run(self) -> None:
        """Resume from the saved state if there is one, and train to the end, or for `stop_seconds`."""
        # Paddle names parameters and moments by counting, and finds saved moments by name: each run counts from 0.
        with import_paddle().utils.unique_name.guard():
            self.work.begin(self.restore())
            with bar(self.steps, self.title, "step", self.work.progress.step) as shown:
                self._train(shown)

    def _train(self, shown: Any) -> None:
        work, progress = self.work, self.work.progress
        started = saved = time.monotonic()
        seconds_before = progress.seconds
        while progress.step < self.steps and not work.is_finished():
            work.train_step()
            progress.step += 1
            progress.seconds = seconds_before + time.monotonic() - started
            shown.update()
            is_due = work.after_step()
            shown.set_postfix(work.figures(), refresh=False)
            is_late = self._is_late(started)
            if is_due or is_late or time.monotonic() - saved >= self.save_seconds:
                self.save()
                saved = time.monotonic()
            if is_late:
                return

    def _is_late(self, started: float) -> bool:
        if math.isinf(self.stop_seconds):
            return False
        return bool(self.ranks.agree(time.monotonic() - started > self.stop_seconds))

    def save(self) -> None:
        """Weights, moments and progress, complete or not at all; the first process does it."""
        if self.ranks.is_first:
            save_state(self.folder, self.work.parts(), self.work.progress_json())
            if self.on_save:
                self.on_save()

    def restore(self) -> bool:
        """Load the saved state; False if there is none."""
        state = find_state(self.folder)
        if state is None:
            return False
        saved = read_progress(state)
        try:
            self.work.restore_progress(saved)
        except (KeyError, TypeError, ValueError) as error:
            raise unreadable(state / PROGRESS, error) from None
        load_parts(state, self.work.parts())
        return True
