"""Pre-training: batches, loss, held-out figures and the log, for the loop in training/loop.py."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.text.tokenizer import Tokenizer

from ..checkpoints.checkpoint import Checkpoint
from ..console import say
from ..errors import ConfigError
from ..framework import import_paddle
from ..kinds import Tensors
from ..training.log import LOG, append_row, cut_back
from ..training.loop import Loop, Ranks, Work
from ..training.optimizer import Optimizer, OptimizerConfig, check_finite
from ..training.state import Parts
from .batches import Batch, Cursor, Feeder
from .config import Pace, PretrainConfig
from .corpus.sequences import Corpus
from .model import pretraining_model
from .objective import evaluate, figures_of, loss_of
from .state import PretrainingProgress, check_same_run

if TYPE_CHECKING:
    from paddle import Tensor


@dataclass(frozen=True, kw_only=True)
class PretrainingJob:
    """What to pre-train, on what, and where to keep it."""

    config: PretrainConfig
    start: Checkpoint
    tokenizer: Tokenizer
    corpus: Corpus
    held_out: Corpus
    output: Path
    fingerprint: str  # of the text as it was cut, and of the initial weights
    device: str = "cpu"
    pace: Pace = field(default_factory=Pace)


class Pretrainer(Work):
    """Pre-trains; `run` resumes from the last state in the output folder if there is one."""

    def __init__(self, job: PretrainingJob, on_save: Callable[[Pretrainer], None]) -> None:
        """on_save: called by the first process after each saved state."""
        self.job, self.on_save = job, on_save
        config = job.config
        self.paddle = import_paddle(job.device)
        positions = len(job.start.weights["ernie.embeddings.position_embeddings.weight"])
        longest = max(stretch.length for stretch in config.lengths)
        if longest > positions:
            raise ConfigError(f"--lengths: {longest} tokens, but {job.start.where} has {positions} positions")
        self.ranks = Ranks.join()
        types = len(job.start.weights["ernie.embeddings.token_type_embeddings.weight"])
        self.feeder = Feeder(job.corpus, job.tokenizer, types, config.mask_rate, config.seed)
        self.held_out = Feeder(job.held_out, job.tokenizer, types, config.mask_rate, seed=0)
        # Paddle names parameters and moments by counting and finds saved moments by name: each run counts from 0.
        with self.paddle.utils.unique_name.guard():
            self.model = pretraining_model(job.start, config.sentence_tasks, config.dropout, config.seed)
        self.parallel = (
            self.paddle.DataParallel(self.model, find_unused_parameters=True) if self.ranks.count > 1 else self.model
        )
        self.optimizer = Optimizer(
            list(self.model.named_parameters()),
            OptimizerConfig(
                learning_rate=config.learning_rate,
                warmup=config.warmup,
                weight_decay=config.weight_decay,
                max_grad_norm=config.max_grad_norm,
                beta2=config.beta2,
                epsilon=1e-6,
                float16=config.amp == "fp16",
            ),
        )
        self.progress: PretrainingProgress = PretrainingProgress()
        self._executor: ThreadPoolExecutor
        self._next_batches: Future[tuple[list[Batch], Cursor]]

    def run(self) -> PretrainingProgress:
        """Train until the last step, or until `stop_after`; the state is saved at the end either way."""
        with ThreadPoolExecutor(1) as self._executor:  # makes the next step's batches while this one is computed
            Loop(
                work=self,
                folder=self.job.output,
                steps=self.job.config.steps,
                title="pre-train",
                ranks=self.ranks,
                stop_seconds=self.job.pace.stop_after * 60,
                on_save=lambda: self.on_save(self),
            ).run()
        return self.progress

    def begin(self, resumed: bool) -> None:
        """Remove what the log has of later steps, and start on the first batches."""
        progress, steps = self.progress, self.job.config.steps
        if self.ranks.is_first:
            if resumed:
                say(f"    goes on from step {progress.step:,} of {steps:,}")
            cut_back(self.job.output / LOG, progress.step)
            if progress.step == steps:
                self.on_save(self)  # the encoder may be missing: a disk was full, a kill came between the two
        if progress.step < steps:
            self._next_batches = self._executor.submit(self._batches, progress.step, progress.cursor)

    def train_step(self) -> None:
        """One optimizer step over this process's batches."""
        started, config, progress = time.monotonic(), self.job.config, self.progress
        batches, progress.cursor = self._next_batches.result()
        if progress.step + 1 < config.steps:
            self._next_batches = self._executor.submit(self._batches, progress.step + 1, progress.cursor)
        self.ranks.seed(config.seed, progress.step)
        self.parallel.train()
        self.optimizer.update(self._losses(batches), len(batches), progress.step, config.steps)
        progress.sums["seconds"] = progress.sums.get("seconds", 0.0) + time.monotonic() - started

    def _losses(self, batches: list[Batch]) -> Iterator[Tensor]:
        """The loss of each batch in turn, a scalar tensor; its figures are counted."""
        for batch in batches:
            loss, figures = loss_of(self.parallel, batch, self.job.config)
            yield loss
            self._count(batch, figures)

    def _batches(self, step: int, cursor: Cursor) -> tuple[list[Batch], Cursor]:
        """This process's batches of a step, and the cursor after them; they depend on the arguments alone."""
        config, batches = self.job.config, list[Batch]()
        stretch = config.stretch_at(step)
        if stretch != cursor.stretch:
            cursor = Cursor(stretch=stretch)
        length = config.lengths[stretch].length
        generator = np.random.default_rng([config.seed, step, 2])
        for number in range(config.accumulate * self.ranks.count):  # all processes draw the same, each keeps its share
            sequences, cursor = self.feeder.take(cursor, length, config.rows(length))
            batch_generator = np.random.default_rng(generator.integers(2**63))
            if number % self.ranks.count == self.ranks.rank:
                batches.append(self.feeder.batch(sequences, batch_generator))
        return batches, cursor

    def _count(self, batch: Batch, figures: Tensors) -> None:
        values = {name: float(value) for name, value in figures.items()}
        check_finite(values["loss"], self.progress.step, "lower --learning-rate; what was saved before is kept")
        tokens = batch.tokens * self.ranks.count
        values |= {"tokens": tokens, "batches": 1}
        for name, value in values.items():
            self.progress.sums[name] = self.progress.sums.get(name, 0.0) + value
        self.progress.tokens += tokens

    def after_step(self) -> bool:
        """Log and evaluate if it is time; whether to save."""
        step, pace = self.progress.step, self.job.pace
        is_last = step == self.job.config.steps
        if is_last or step % pace.eval_every == 0:
            self._log(evaluate(self.model, self.held_out, self.job.config))
        elif step % pace.log_every == 0:
            self._log({})
        return is_last or step % pace.save_every == 0

    def _log(self, held_out: Mapping[str, float]) -> None:
        """A row of the log with the means since the row before, and held-out figures if there are any."""
        progress, config = self.progress, self.job.config
        sums = progress.sums
        row = {
            "step": progress.step,
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 1),
            "length": config.lengths[config.stretch_at(progress.step - 1)].length,
            "learning_rate": self.optimizer.adamw.get_lr(),
            **figures_of(sums),
            "tokens_per_second": round(sums["tokens"] / sums["seconds"]),
            **held_out,
        }
        progress.sums = {}
        if self.ranks.is_first:
            append_row(self.job.output / LOG, row)
            evaluated = f", held out {held_out['held_loss']:.3f} ({held_out['held_accuracy']:.1f}%)" if held_out else ""
            speed = f"{row['tokens_per_second']:,} tokens/s"
            say(f"    step {progress.step}: loss {row.get('loss', math.nan):.3f}{evaluated}, {speed}")

    def parts(self) -> Parts:
        """What a saved state holds."""
        return {"model.pdparams": self.model, **self.optimizer.parts(".pdparams")}

    def progress_json(self) -> JsonObject:
        """With the settings that only a run with the same ones may resume."""
        settings = {**self.job.config.to_json(), "fingerprint": self.job.fingerprint, "ranks": self.ranks.count}
        return {"progress": self.progress.to_json(), "settings": settings}

    def restore_progress(self, saved: Json) -> None:
        """ConfigError if the saved run had other settings, text or devices."""
        settings = saved["settings"]
        difference = self.job.config.difference(settings)
        if not difference and settings["fingerprint"] != self.job.fingerprint:
            difference = "another text, vocabulary or start"
        if not difference and settings["ranks"] != self.ranks.count:
            difference = "other devices"
        check_same_run(self.job.output, difference)
        self.progress = PretrainingProgress.from_json(saved["progress"])
