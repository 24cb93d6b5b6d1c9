"""Fine-tuning: one plain loop in PaddlePaddle, resumable after a kill to the same result.

Run alone it trains on one device; under `paddle.distributed.launch` (see stages/finetune.py) each process
takes its share of every step's batches and gradients are averaged.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import pad_rows
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..checkpoints.checkpoint import Checkpoint, write_checkpoint
from ..checkpoints.encoder_config import EncoderConfig
from ..config.tasks import TrainConfig
from ..console import bar, say
from ..errors import CheckpointError
from ..filesystem import find_whole, whole_folder
from ..framework import import_paddle
from ..kinds import Row, get_builder_kind
from ..modeling.model import PaddleEngine, build_model, weights_of
from ..readers import Example
from .dataset import epoch_order, pad_targets, training_rows

SAVE_SECONDS = 120


@dataclass
class Progress:
    """What a resumed run needs to know besides weights."""

    done: int = 0  # batches
    best: float = -1.0
    since_best: int = 0
    seconds: float = 0.0
    history: list[dict[str, float]] = field(default_factory=list)


def learning_rate(step: int, steps: int, peak: float, warmup: float) -> float:
    """Linear warm-up over `warmup` of all steps, then linear decay to 0."""
    rising = max(1, int(steps * warmup))
    return peak * (step + 1) / rising if step < rising else peak * max(0.0, (steps - step) / max(1, steps - rising))


@dataclass(frozen=True)
class Job:
    """What to train, on what, and where it is kept."""

    manifest: Manifest
    config: TrainConfig
    base: Checkpoint
    tokenizer: ErnieTokenizer
    train: Sequence[Example]
    dev: Sequence[Example]
    folder: Path
    device: str = "cpu"
    seed: int = 0


class Trainer:
    """Fine-tunes one task; `run` leaves the best checkpoint in `folder`/best.

    all_tokens: the loss reads the last layer's states of all tokens, though the task's head may not.
    """

    all_tokens = False

    def __init__(self, job: Job) -> None:
        manifest, config, device = job.manifest, job.config, job.device
        self.paddle = import_paddle(device)
        self.ranks, self.rank = (
            int(os.environ.get("PADDLE_TRAINERS_NUM", "1")),
            int(os.environ.get("PADDLE_TRAINER_ID", "0")),
        )
        if self.ranks > 1:
            self.paddle.distributed.init_parallel_env()
        self.manifest, self.config, self.base, self.folder = manifest, config, job.base, job.folder
        self.tokenizer, self.dev, self.seed = job.tokenizer, job.dev, job.seed
        self.kind = get_builder_kind(manifest.kind)
        self.rows = self._rows(job)
        if not self.rows:
            raise CheckpointError(f"task {manifest.task}: nothing to train on")
        # Paddle names parameters and moments by counting and finds saved moments by name: each run counts from 0.
        with self.paddle.utils.unique_name.guard():
            self.model = build_model(self.kind, job.base, manifest, config.dropout, job.seed)
        if device == "cpu":
            from ..modeling.cpu_layers import speed_up  # Paddle must be set up before it is imported

            speed_up(self.model, self.all_tokens)
        self.parallel = self.paddle.DataParallel(self.model) if self.ranks > 1 else self.model
        self.half = config.amp and device.startswith("gpu")
        self.scaler = self.paddle.amp.GradScaler(enable=self.half, init_loss_scaling=2**15)
        no_decay = ("bias", "norm")
        self.optimizer = self.paddle.optimizer.AdamW(
            learning_rate=config.learning_rate,
            parameters=self.model.parameters(),
            weight_decay=config.weight_decay,
            grad_clip=self.paddle.nn.ClipGradByGlobalNorm(config.max_grad_norm),
            apply_decay_param_fun={
                p.name for n, p in self.model.named_parameters() if not any(part in n for part in no_decay)
            }.__contains__,
        )
        self.progress = Progress()

    def run(self) -> dict[str, Any]:
        """Train to the end or to early stopping; the best dev figures, steps and seconds."""
        with self.paddle.utils.unique_name.guard():
            return self._run()

    def _run(self) -> dict[str, Any]:
        config, lengths = self.config, [max(len(w.input_ids) for w in row.windows) for row in self.rows]
        together = config.accumulate * self.ranks  # batches an optimizer step
        per_epoch = math.ceil(len(self.rows) / config.batch_size)
        total = max(together, int(config.epochs * per_epoch) // together * together)
        every = max(together, per_epoch // config.evals_per_epoch // together * together)
        self._restore()
        progress, started, saved = self.progress, time.monotonic() - self.progress.seconds, time.monotonic()
        order: list[np.ndarray] = []
        with bar(total, "fine-tune", "batch", progress.done) as shown:
            while progress.done < total and progress.since_best < config.patience:
                epoch, position = divmod(progress.done, per_epoch)
                if position < together or not order:
                    order = []
                    while len(order) < per_epoch + together - 1:  # the last step of an epoch reaches into the next
                        order += epoch_order(lengths, config.batch_size, self.seed, epoch)
                        epoch += 1
                step, steps = progress.done // together, total // together
                self.optimizer.set_lr(learning_rate(step, steps, config.learning_rate, config.warmup))
                loss = self._step(order[position : position + together], step)
                progress.done += together
                progress.seconds = time.monotonic() - started
                shown.update(together)
                shown.set_postfix(loss=f"{loss:.3f}", best=f"{progress.best:.2f}", refresh=False)
                if progress.done % every < together or progress.done >= total:
                    self._evaluate(loss)
                elif time.monotonic() - saved < SAVE_SECONDS:
                    continue
                self._save()
                saved = time.monotonic()
        best = max(progress.history, key=lambda row: row[self.kind.main_metric])
        return {**best, "main": self.kind.main_metric, "seconds": round(progress.seconds), "batches": progress.done}

    def _step(self, batches: Sequence[np.ndarray], step: int) -> float:
        """One optimizer step over this process's share of the batches; the loss of the last of them."""
        paddle = self.paddle
        paddle.seed(self.seed * 1_000_003 + step * self.ranks + self.rank)  # dropout, the same after a resume
        self.parallel.train()
        loss: Any = None
        mine = batches[self.rank :: self.ranks]
        for batch in mine:
            rows = [self.rows[i] for i in batch]
            windows = [window for row in rows for window in row.windows]
            ids = paddle.to_tensor(pad_rows([window.input_ids for window in windows]))
            types = paddle.to_tensor(pad_rows([window.token_type_ids for window in windows]))
            targets = self._targets(rows)
            with paddle.amp.auto_cast(enable=self.half, dtype="float16"):
                outputs = self.kind.outputs(self.parallel(ids, token_type_ids=types))
                loss = self._loss(outputs, targets, ids, types)
            self.scaler.scale(loss / len(mine)).backward()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.clear_grad()
        value = float(loss)
        if not math.isfinite(value):
            raise CheckpointError(f"the loss became {value} at step {step}: lower train.learning_rate")
        return value

    def _rows(self, job: Job) -> list[Row]:
        """What is trained on."""
        return training_rows(job.manifest, job.tokenizer, job.train, job.config.windows_per_text)

    def _targets(self, rows: Sequence[Row]) -> dict[str, Any]:
        """The batch's targets as tensors, by name."""
        return {name: self.paddle.to_tensor(pad_targets(rows, name)) for name in rows[0].targets}

    def _loss(self, outputs: Mapping[str, Any], targets: Mapping[str, Any], ids: Any, types: Any) -> Any:
        """What is made small; ids, types: the batch's inputs, int64 [B, L]."""
        del ids, types
        return self.kind.loss(outputs, targets)

    def _evaluate(self, loss: float) -> None:
        self.model.eval()
        pipeline = Pipeline(self.manifest, self.tokenizer, PaddleEngine(self.model, self.kind))
        dev = self.dev[: self.config.dev_rows or None]
        with bar(len(dev), "dev") as shown:
            answers = pipeline.predict([e.texts for e in dev], progress=shown.update)
        metrics = self.kind.score(dev, answers, self.manifest)
        progress, main = self.progress, self.kind.main_metric
        progress.history.append({"batch": progress.done, "loss": round(loss, 4), **metrics})
        value = self._agreed(metrics[main])
        progress.since_best += 1
        if value > progress.best or len(progress.history) == 1:
            progress.best, progress.since_best = value, 0
            if self.rank == 0:
                with whole_folder(self.folder / "best") as new:
                    write_checkpoint(new, self._config(), weights_of(self.model), self.base.vocabulary)
        if self.rank == 0:
            say(
                f"    batch {progress.done}: loss {loss:.3f}, dev {main} {metrics[main]:.2f} (best {progress.best:.2f})"
            )

    def _agreed(self, value: float) -> float:
        """The first process's figure: all must come to the same decision, or some wait for ever."""
        if self.ranks == 1:
            return value
        shared = self.paddle.to_tensor([value], dtype="float64")
        self.paddle.distributed.broadcast(shared, src=0)
        return float(shared)

    def _config(self) -> EncoderConfig:
        """The base model's configuration, with this task's labels."""
        labels = {str(i): label.id for i, label in enumerate(self.manifest.labels)}
        return replace(self.base.config, id2label=labels, task_options=None)

    def _save(self) -> None:
        """Weights, optimizer and progress, complete or not at all."""
        if self.rank != 0:
            return
        with whole_folder(self.folder / "state") as new:
            self.paddle.save(self.model.state_dict(), str(new / "model.pdparams"))
            self.paddle.save(self.optimizer.state_dict(), str(new / "optimizer.pdopt"))
            if self.half:
                self.paddle.save(self.scaler.state_dict(), str(new / "scaler.pdopt"))
            (new / "progress.json").write_text(json.dumps(vars(self.progress)), encoding="utf-8")

    def _restore(self) -> None:
        state = find_whole(self.folder / "state")
        if state is None:
            return
        self.progress = Progress(**json.loads((state / "progress.json").read_text(encoding="utf-8")))
        self.model.set_state_dict(self.paddle.load(str(state / "model.pdparams")))
        self.optimizer.set_state_dict(self.paddle.load(str(state / "optimizer.pdopt")))
        if self.half:
            self.scaler.load_state_dict(self.paddle.load(str(state / "scaler.pdopt")))
        if self.rank == 0:
            say(f"    resumed after batch {self.progress.done}")
