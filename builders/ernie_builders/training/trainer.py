"""Fine-tuning in PaddlePaddle: the task's batches, loss and evaluations, for the loop in loop.py."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ernie_runtime.json_types import Json, JsonObject
from ernie_runtime.manifest import Manifest
from ernie_runtime.steps.batching import pad_rows
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.tokenizer import Tokenizer

from ..checkpoints.base_models import model_of
from ..checkpoints.checkpoint import Checkpoint, write_checkpoint
from ..checkpoints.encoder_config import EncoderConfig
from ..config.train import TrainConfig
from ..console import bar, say
from ..errors import CheckpointError
from ..filesystem import whole_folder
from ..framework import import_paddle
from ..kinds import Row, Tensors, get_builder_kind
from ..modeling.model import PaddleEngine, build_model, say_unused
from ..readers import Example
from .adapters import add_adapters, merged_weights
from .dataset import epoch_order, pad_targets, training_rows
from .loop import Loop, Progress, Ranks, Work
from .optimizer import Optimizer, OptimizerConfig, check_finite
from .state import Parts

if TYPE_CHECKING:
    from paddle import Tensor

BEST = "best"
SAVE_SECONDS = 120.0
EVALUATIONS = 4  # at least, in a run that is given its number of batches, if it has as many


@dataclass(kw_only=True)
class FineTuningProgress(Progress):
    """How far a fine-tuning is, and its evaluations."""

    best: float = -1.0  # the main metric on the held-out rows, in percent
    since_best: int = 0  # evaluations
    history: list[dict[str, float]] = field(default_factory=list)  # batch, loss and metrics of each evaluation


@dataclass(frozen=True, kw_only=True)
class Job:
    """What to fine-tune, on what, and where to keep it."""

    manifest: Manifest
    config: TrainConfig
    base: Checkpoint
    tokenizer: Tokenizer
    train: Sequence[Example]
    held_out: Sequence[Example]  # rows to choose the best checkpoint by; empty: the last one is kept
    folder: Path
    batches: int = 0  # to train on, whatever the number of rows; 0: `config.epochs`
    device: str = "cpu"
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class TrainingResult:
    """The best evaluation on the held-out rows, and what the training took."""

    main: str  # the name of the kind's main metric
    metrics: Mapping[str, float]  # on the held-out rows, in percent; empty if there are none
    loss: float  # of the last batch before that evaluation
    batch: int  # after how many batches it was
    batches: int  # in all
    seconds: int


class Trainer(Work):
    """Fine-tunes one task; `run` leaves the best checkpoint in `folder`/best.

    all_tokens: the loss reads the last layer's states of all tokens, though the task's head may not.
    """

    all_tokens = False

    def __init__(self, job: Job) -> None:
        manifest, config = job.manifest, job.config
        self.paddle = import_paddle(job.device)
        self.ranks = Ranks.join()
        self.manifest, self.base, self.folder = manifest, job.base, job.folder
        self.tokenizer, self.held_out, self.seed = job.tokenizer, job.held_out, job.seed
        self.kind = get_builder_kind(manifest.kind)
        self.rows = self._rows(job)
        if not self.rows:
            raise CheckpointError(f"task {manifest.task}: nothing to train on")
        self.config = with_batches(config, job.batches, len(self.rows)) if job.batches else config
        # Paddle names parameters and moments by counting and finds saved moments by name: each run counts from 0.
        with self.paddle.utils.unique_name.guard():
            self.model = build_model(self.kind, job.base, manifest, config.dropout, job.seed)
            if config.lora:
                add_adapters(self.model, config)
        if self.ranks.is_first:
            say_unused(self.model, job.base)
        if job.device == "cpu":
            from ..modeling.cpu_layers import speed_up  # Paddle must be set up before it is imported

            speed_up(self.model, self.all_tokens)
        base_rate = model_of(job.base.name, job.base.config).learning_rate
        self.parallel = self.paddle.DataParallel(self.model) if self.ranks.count > 1 else self.model
        self.float16 = config.amp and job.device.startswith("gpu")
        self.optimizer = Optimizer(
            [(name, value) for name, value in self.model.named_parameters() if not value.stop_gradient],
            OptimizerConfig(
                learning_rate=base_rate if config.learning_rate is None else config.learning_rate,
                warmup=config.warmup,
                weight_decay=config.weight_decay,
                max_grad_norm=config.max_grad_norm,
                float16=self.float16,
            ),
        )
        self.progress: FineTuningProgress = FineTuningProgress()
        self.step_batches = config.accumulate * self.ranks.count  # batches of an optimizer step, of all processes
        self.epoch_batches = math.ceil(len(self.rows) / config.batch_size)
        self.steps = max(1, int(self.config.epochs * self.epoch_batches) // self.step_batches)
        self.eval_steps = max(1, self.epoch_batches // self.config.evals_per_epoch // self.step_batches)
        self._lengths = [max(len(window.input_ids) for window in row.windows) for row in self.rows]
        self._order: list[np.ndarray] = []  # batches (row indices) from the start of the epoch
        self._last_loss = math.nan

    def run(self) -> TrainingResult:
        """Train to the end or to early stopping."""
        Loop(
            work=self,
            folder=self.folder,
            steps=self.steps,
            title="fine-tune",
            ranks=self.ranks,
            save_seconds=SAVE_SECONDS,
        ).run()
        progress, main = self.progress, self.kind.main_metric
        best = max(progress.history, key=lambda row: row[main]) if self.held_out else progress.history[-1]
        return TrainingResult(
            main=main,
            metrics={name: value for name, value in best.items() if name not in ("batch", "loss")},
            loss=best["loss"],
            batch=int(best["batch"]),
            batches=self.batches_done,
            seconds=round(progress.seconds),
        )

    @property
    def batches_done(self) -> int:
        """Of all processes, since the start of the training."""
        return self.progress.step * self.step_batches

    def begin(self, resumed: bool) -> None:
        """Say how far a resumed training is."""
        if resumed and self.ranks.is_first:
            say(f"    resumed after batch {self.batches_done}")

    def train_step(self) -> None:
        """One optimizer step."""
        self._last_loss = self.train_on(self._next_batches(), self.progress.step)

    def _next_batches(self) -> list[np.ndarray]:
        """The batches of a step, of all processes; they follow from the seed and the number of batches done."""
        epoch, position = divmod(self.batches_done, self.epoch_batches)
        if position < self.step_batches or not self._order:
            self._order = []
            while len(self._order) < self.epoch_batches + self.step_batches - 1:  # a step may reach into the next epoch
                self._order += epoch_order(self._lengths, self.config.batch_size, self.seed, epoch)
                epoch += 1
        return self._order[position : position + self.step_batches]

    def train_on(self, batches: Sequence[np.ndarray], step: int) -> float:
        """One optimizer step over this process's share of the batches (row indices); the loss of its last one."""
        self.ranks.seed(self.seed, step)
        self.parallel.train()
        share = batches[self.ranks.rank :: self.ranks.count]
        loss = self.optimizer.update(self._losses(share), len(share), step, self.steps)
        check_finite(loss, step, "lower train.learning_rate")
        return loss

    def _losses(self, batches: Sequence[np.ndarray]) -> Iterator[Tensor]:
        """The loss of each batch in turn, a scalar tensor."""
        paddle = self.paddle
        for batch in batches:
            rows = [self.rows[i] for i in batch]
            windows = [window for row in rows for window in row.windows]
            ids = paddle.to_tensor(pad_rows([window.input_ids for window in windows]))
            types = paddle.to_tensor(pad_rows([window.token_type_ids for window in windows]))
            targets = self._targets(rows)
            with paddle.amp.auto_cast(enable=self.float16, dtype="float16"):
                outputs = self.kind.outputs(self.parallel(ids, token_type_ids=types))
                loss = self._loss(outputs, targets, ids, types)
            yield loss

    def _rows(self, job: Job) -> list[Row]:
        """The rows to train on."""
        return training_rows(job.manifest, job.tokenizer, job.train, job.config.windows_per_text)

    def _targets(self, rows: Sequence[Row]) -> dict[str, Tensor]:
        """The batch's targets as tensors, by name."""
        return {name: self.paddle.to_tensor(pad_targets(rows, name)) for name in rows[0].targets}

    def _loss(self, outputs: Tensors, targets: Tensors, ids: Tensor, types: Tensor) -> Tensor:
        """The loss of a batch, a scalar tensor; ids, types: the batch's inputs, int64 [B, L]."""
        del ids, types
        return self.kind.loss(outputs, targets)

    def after_step(self) -> bool:
        """Evaluate on the held-out rows if it is time."""
        step = self.progress.step
        is_due = step % self.eval_steps == 0 or step == self.steps
        if is_due:
            self._evaluate()
        return is_due

    def is_finished(self) -> bool:
        """Whether `patience` evaluations in a row were no better than the best."""
        return self.progress.since_best >= self.config.patience

    def figures(self) -> dict[str, str]:
        """The last loss, and the best metric on the held-out rows."""
        best = {"best": f"{self.progress.best:.2f}"} if self.held_out else {}
        return {"loss": f"{self._last_loss:.3f}", **best}

    def _evaluate(self) -> None:
        """Evaluate on the held-out rows and keep the best checkpoint; without such rows, keep the last one."""
        progress, main = self.progress, self.kind.main_metric
        metrics = self._metrics() if self.held_out else {}
        progress.history.append({"batch": self.batches_done, "loss": round(self._last_loss, 4), **metrics})
        if self.held_out:
            value = self.ranks.agree(metrics[main])
            is_kept = value > progress.best or len(progress.history) == 1
            progress.since_best = 0 if is_kept else progress.since_best + 1
            progress.best = value if is_kept else progress.best
        else:
            is_kept = progress.step == self.steps
        if not self.ranks.is_first:
            return
        if is_kept:
            with whole_folder(self.folder / BEST) as new:
                write_checkpoint(new, self._config(), merged_weights(self.model, self.config), self.base.tokenizer)
        shown = f", held-out {main} {metrics[main]:.2f} (best {progress.best:.2f})" if self.held_out else ""
        say(f"    batch {self.batches_done}: loss {self._last_loss:.3f}{shown}")

    def _metrics(self) -> dict[str, float]:
        """Metrics on the held-out rows by name, in percent."""
        self.model.eval()
        pipeline = Pipeline(self.manifest, self.tokenizer, PaddleEngine(self.model, self.kind))
        with bar(len(self.held_out), "held out") as shown:
            answers = pipeline.predict([e.texts for e in self.held_out], progress=shown.update)
        return dict(self.kind.score(self.held_out, answers, self.manifest))

    def _config(self) -> EncoderConfig:
        """The base model's configuration, with this task's labels."""
        labels = {str(i): label.id for i, label in enumerate(self.manifest.labels)}
        return replace(self.base.config, id2label=labels, task_options=None)

    def parts(self) -> Parts:
        """What a saved state holds."""
        return {"model.pdparams": self.model, **self.optimizer.parts(".pdopt")}

    def progress_json(self) -> JsonObject:
        """Counted in batches."""
        progress = self.progress
        return {
            "done": self.batches_done,
            "best": progress.best,
            "since_best": progress.since_best,
            "seconds": progress.seconds,
            "history": progress.history,
        }

    def restore_progress(self, saved: Json) -> None:
        """Of a run with as many devices."""
        self.progress = FineTuningProgress(
            step=saved["done"] // self.step_batches,
            best=saved["best"],
            since_best=saved["since_best"],
            seconds=saved["seconds"],
            history=saved["history"],
        )


def with_batches(config: TrainConfig, batches: int, rows: int) -> TrainConfig:
    """Set the epochs so that `rows` rows give `batches` batches, with at least EVALUATIONS evaluations."""
    epochs = (batches + 0.5) / math.ceil(rows / config.batch_size)
    return replace(config, epochs=epochs, evals_per_epoch=max(1, math.ceil(EVALUATIONS / epochs)))
