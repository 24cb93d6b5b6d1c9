"""What the stages that train a variant share: the fine-tuned model teaches, its text is the text."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ernie_runtime.text.tokenization import ErnieTokenizer

from ...checkpoints.checkpoint import Checkpoint
from ...config.tasks import TrainConfig
from ...errors import DataError
from ...readers import Example
from .. import Context, Done
from ..data import read_split
from ..finetune import BEST, drop_state, learn, manifest_of


def training_text(context: Context, before: Mapping[str, Done]) -> list[Example]:
    """The task's training rows; DataError where there are none."""
    train = read_split(before["data"], "train")
    if not train:
        raise DataError(
            f"task {context.task.name}, variant {context.recipe.name}: no training text; give --data-dir with its "
            f"{context.task.data.folder}/ folder"
        )
    return train


def settings_of(context: Context) -> dict[str, Any]:
    """What of the task's settings a distilling hangs on."""
    compress, train = vars(context.task.compress), vars(context.task.train)
    return {
        **{name: compress[name] for name in ("epochs", "learning_rate", "batch_size", "importance_rows")},
        **{name: train[name] for name in ("windows_per_text", "dev_rows") if train[name]},  # 0: what was kept stands
    }


def distil(
    context: Context,
    before: Mapping[str, Done],
    folder: Path,
    teacher: Checkpoint,
    student: Checkpoint,
    eight_bits: bool = False,
) -> dict[str, Any]:
    """Train the student, leave its best checkpoint in `folder`/best; figures as fine-tuning's.

    eight_bits: the student rounds as 8-bit kernels do.
    """
    from ...training.distiller import Distiller
    from ...training.trainer import Job

    task, settings = context.task, context.task.compress
    tokenizer = ErnieTokenizer.from_vocab(teacher.vocabulary)
    job = Job(
        manifest_of(context, before["fine-tune"], tokenizer),
        TrainConfig(
            epochs=settings.epochs,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            dropout=0.0,
            evals_per_epoch=4,
            patience=1_000_000,  # the best of a distilling comes with its last, smallest steps
            windows_per_text=task.train.windows_per_text,
            dev_rows=task.train.dev_rows,
        ),
        student,
        tokenizer,
        training_text(context, before),
        read_split(before["data"], "dev"),
        folder,
        context.device,
        context.seed,
    )
    figures = Distiller(teacher, job, eight_bits).run()
    learn(context, before["data"], folder / BEST)
    drop_state(folder)
    return {**figures, "trained": True, "from": teacher.name, "weights": sum(w.size for w in student.weights.values())}
