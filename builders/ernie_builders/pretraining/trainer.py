"""The loop: alone on one device, or one of several processes under `paddle.distributed.launch`.

Every random choice comes from the seed and the step, so a run that goes on after a kill is the run that was not killed.
"""

from __future__ import annotations

import math
import os
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.text.tokenization import ErnieTokenizer

from ..checkpoints.checkpoint import Checkpoint
from ..console import bar, say
from ..errors import CheckpointError, ConfigError
from ..framework import import_paddle
from ..training.trainer import learning_rate
from . import log
from .batches import Batch, Cursor, Feeder
from .config import Pace, PretrainConfig
from .corpus.sequences import Corpus
from .model import pretraining_model
from .objective import evaluate, figures_of, loss_of
from .state import Progress, check_same_run, find_state, load_parts, read_progress, save_state


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to train, on what, and where it is kept."""

    config: PretrainConfig
    start: Checkpoint
    tokenizer: ErnieTokenizer
    corpus: Corpus
    held_out: Corpus
    output: Path
    fingerprint: str  # of the text as it was cut, and of the weights at the start
    device: str = "cpu"
    pace: Pace = field(default_factory=Pace)


class Trainer:
    """Pre-trains; `run` goes on from the last state in the output folder if there is one."""

    def __init__(self, job: Job, on_save: Callable[[Trainer], None]) -> None:
        """on_save: called by the first process behind each saved state."""
        self.job, self.on_save = job, on_save
        config = job.config
        self.paddle = import_paddle(job.device)
        self.ranks = int(os.environ.get("PADDLE_TRAINERS_NUM", "1"))
        self.rank = int(os.environ.get("PADDLE_TRAINER_ID", "0"))
        positions = len(job.start.weights["ernie.embeddings.position_embeddings.weight"])
        longest = max(stretch.length for stretch in config.lengths)
        if longest > positions:
            raise ConfigError(f"--lengths: {longest} tokens, but {job.start.where} has {positions} positions")
        if self.ranks > 1:
            self.paddle.distributed.init_parallel_env()
        types = len(job.start.weights["ernie.embeddings.token_type_embeddings.weight"])
        self.feeder = Feeder(job.corpus, job.tokenizer, types, config.mask_rate, config.seed)
        self.held_out = Feeder(job.held_out, job.tokenizer, types, config.mask_rate, seed=0)
        # Paddle names parameters and moments by counting and finds saved moments by name: each run counts from 0.
        with self.paddle.utils.unique_name.guard():
            self.model = pretraining_model(job.start, config.sentence_tasks, config.dropout, config.seed)
        self.parallel = (
            self.paddle.DataParallel(self.model, find_unused_parameters=True) if self.ranks > 1 else self.model
        )
        self.scaler = self.paddle.amp.GradScaler(enable=config.amp == "fp16", init_loss_scaling=2**15)
        decayed = {p.name for n, p in self.model.named_parameters() if "bias" not in n and "norm" not in n}
        self.optimizer = self.paddle.optimizer.AdamW(
            learning_rate=config.learning_rate,
            beta2=config.beta2,
            epsilon=1e-6,
            parameters=self.model.parameters(),
            weight_decay=config.weight_decay,
            grad_clip=self.paddle.nn.ClipGradByGlobalNorm(config.max_grad_norm),
            apply_decay_param_fun=decayed.__contains__,
        )
        self.progress = Progress()
        self._beside: ThreadPoolExecutor
        self._ahead: Future[tuple[list[Batch], Cursor]]

    def run(self) -> Progress:
        """Train until the last step, or until `stop_after`; the state is saved at the end either way."""
        with self.paddle.utils.unique_name.guard():
            return self._run()

    def _run(self) -> Progress:
        config, pace, progress = self.job.config, self.job.pace, self._restore()
        started, before = time.monotonic(), progress.seconds
        if progress.step == config.steps:
            if self.rank == 0:
                self.on_save(self)  # the encoder may be missing: a disk was full, a kill came between the two
            return progress
        # The next step's batches are made while this one is computed.
        with ThreadPoolExecutor(1) as self._beside, bar(config.steps, "pre-train", "step", progress.step) as shown:
            self._ahead = self._beside.submit(self._batches, progress.step, progress.cursor)
            while progress.step < config.steps:
                begun = time.monotonic()
                self._step()
                progress.sums["seconds"] = progress.sums.get("seconds", 0.0) + time.monotonic() - begun
                progress.step += 1
                progress.seconds = before + time.monotonic() - started
                shown.update()
                last = progress.step == config.steps
                if last or progress.step % pace.eval_every == 0:
                    self._log(evaluate(self.model, self.held_out, config))
                elif progress.step % pace.log_every == 0:
                    self._log({})
                late = self._agreed(time.monotonic() - started > pace.stop_after * 60)
                if last or late or progress.step % pace.save_every == 0:
                    self._save()
                if late:
                    break
        return progress

    def _step(self) -> None:
        """One optimizer step over this process's batches."""
        config, progress, paddle = self.job.config, self.progress, self.paddle
        self.optimizer.set_lr(learning_rate(progress.step, config.steps, config.learning_rate, config.warmup))
        batches, progress.cursor = self._ahead.result()
        if progress.step + 1 < config.steps:
            self._ahead = self._beside.submit(self._batches, progress.step + 1, progress.cursor)
        paddle.seed(config.seed * 1_000_003 + progress.step * self.ranks + self.rank)  # dropout
        self.parallel.train()
        for batch in batches:
            loss, figures = loss_of(self.parallel, batch, config)
            self.scaler.scale(loss / len(batches)).backward()
            self._count(batch, figures)
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.clear_grad()

    def _batches(self, step: int, cursor: Cursor) -> tuple[list[Batch], Cursor]:
        """This process's batches of a step, and the cursor behind them; what they are hangs on the arguments alone."""
        config, found = self.job.config, list[Batch]()
        stretch = config.stretch_at(step)
        if stretch != cursor.stretch:
            cursor = Cursor(stretch)
        length = config.lengths[stretch].length
        generator = np.random.default_rng([config.seed, step, 2])
        for number in range(config.accumulate * self.ranks):  # all processes draw alike, each keeps its own
            sequences, cursor = self.feeder.take(cursor, length, config.rows(length))
            seeded = np.random.default_rng(generator.integers(2**63))
            if number % self.ranks == self.rank:
                found.append(self.feeder.batch(sequences, seeded))
        return found, cursor

    def _count(self, batch: Batch, figures: dict[str, Any]) -> None:
        values = {name: float(value) for name, value in figures.items()}
        if not math.isfinite(values["loss"]):
            raise CheckpointError(
                f"the loss became {values['loss']} at step {self.progress.step}: lower --learning-rate; "
                "what was saved before is kept"
            )
        values |= {"tokens": batch.tokens * self.ranks, "batches": 1}
        for name, value in values.items():
            self.progress.sums[name] = self.progress.sums.get(name, 0.0) + value
        self.progress.tokens += batch.tokens * self.ranks

    def _log(self, held: dict[str, float]) -> None:
        progress, config = self.progress, self.job.config
        sums = progress.sums
        row = {
            "step": progress.step,
            "tokens": progress.tokens,
            "seconds": round(progress.seconds, 1),
            "length": config.lengths[config.stretch_at(progress.step - 1)].length,
            "learning_rate": self.optimizer.get_lr(),
            **figures_of(sums),
            "tokens_per_second": round(sums["tokens"] / sums["seconds"]),
            **held,
        }
        progress.sums = {}
        if self.rank == 0:
            log.append(self.job.output, row)
            heard = f", held out {held['held_loss']:.3f} ({held['held_accuracy']:.1f}%)" if held else ""
            speed = f"{row['tokens_per_second']:,} tokens/s"
            say(f"    step {progress.step}: loss {row.get('loss', math.nan):.3f}{heard}, {speed}")

    def _agreed(self, value: bool) -> bool:
        """The first process's answer: all must come to the same decision, or some wait for ever."""
        if self.ranks == 1 or math.isinf(self.job.pace.stop_after):
            return value
        shared = self.paddle.to_tensor([int(value)], dtype="int64")
        self.paddle.distributed.broadcast(shared, src=0)
        return bool(int(shared))

    def _parts(self) -> dict[str, Any]:
        parts = {"model": self.model, "optimizer": self.optimizer}
        return {**parts, "scaler": self.scaler} if self.job.config.amp == "fp16" else parts

    def _save(self) -> None:
        if self.rank != 0:
            return
        settings = {**self.job.config.to_json(), "fingerprint": self.job.fingerprint, "ranks": self.ranks}
        states = {name: owner.state_dict() for name, owner in self._parts().items()}
        save_state(self.job.output, states, self.progress, settings, self.paddle)
        self.on_save(self)

    def _restore(self) -> Progress:
        state = find_state(self.job.output)
        if state is not None:
            progress, settings = read_progress(state)
            difference = self.job.config.difference(settings)
            for name, own in (("fingerprint", self.job.fingerprint), ("ranks", self.ranks)):
                if settings[name] != own and not difference:
                    difference = "another text, vocabulary or start" if name == "fingerprint" else "other devices"
            check_same_run(self.job.output, difference)
            load_parts(state, self._parts(), self.paddle)
            self.progress = progress
            if self.rank == 0:
                say(f"    goes on from step {progress.step:,} of {self.job.config.steps:,}")
        if self.rank == 0:
            log.cut_back(self.job.output, self.progress.step)
        return self.progress
