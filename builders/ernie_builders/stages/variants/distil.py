"""Train a variant with the fine-tuned model as its teacher, on the task's own text."""

from __future__ import annotations

from pathlib import Path

from ernie_runtime.json_types import JsonObject

from ...checkpoints.checkpoint import Checkpoint
from ...config.train import TrainConfig
from ...readers.files.holdout import hold_out
from ..context import Context
from ..data import training_text
from ..draft import BEST, manifest_of, tokenizer_for
from ..finetune import drop_state, learn
from ..results import FineTuned
from ..stage import Finished


def settings_of(context: Context) -> JsonObject:
    """The task's settings that distilling depends on."""
    compress, train = vars(context.task.compress), vars(context.task.train)
    return {
        **{name: compress[name] for name in ("epochs", "learning_rate", "batch_size", "importance_rows")},
        **{name: train[name] for name in ("windows_per_text", "choose_rows")},
    }


def distil(
    context: Context,
    finished: Finished,
    folder: Path,
    teacher: Checkpoint,
    student: Checkpoint,
    eight_bits: bool = False,
    symmetric: bool = False,
) -> FineTuned:
    """Train the student and leave its best checkpoint in `folder`/best.

    eight_bits: it rounds as 8-bit kernels do; symmetric: as those of TensorRT.
    """
    from ...training.distiller import Distiller
    from ...training.trainer import Job

    task, settings = context.task, context.task.compress
    tokenizer = tokenizer_for(task, teacher.tokenizer)
    train, held_out = hold_out(training_text(context, finished), task.train.choose_rows, context.seed)
    job = Job(
        manifest=manifest_of(context, finished.fine_tuned, tokenizer),
        config=TrainConfig(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            dropout=0.0,
            evals_per_epoch=4,
            patience=1_000_000,  # no early stopping: distilling is at its best with the last, smallest steps
            windows_per_text=task.train.windows_per_text,
            choose_rows=task.train.choose_rows,
        ),
        base=student,
        tokenizer=tokenizer,
        train=train,
        held_out=held_out,
        folder=folder,
        device=context.device,
        seed=context.seed,
    )
    result = Distiller(teacher, job, eight_bits, symmetric).run()
    learn(context, finished.data, folder / BEST)
    drop_state(folder)
    weights = sum(value.size for value in student.weights.values())
    return FineTuned(trained=True, source=teacher.name, weights=weights, **vars(result))
