"""The loss and its figures, of a batch and of held-out text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ..framework import import_paddle
from .batches import Batch, Feeder
from .config import PretrainConfig

if TYPE_CHECKING:
    from paddle import Tensor
    from paddle.nn import Layer

PADDING = 64  # the number of predicted tokens is rounded up to a multiple of it, so that shapes repeat
HELD_OUT_LENGTH = 128  # tokens of a held-out sequence, the same for all runs so that their figures compare


def loss_of(model: Layer, batch: Batch, config: PretrainConfig) -> tuple[Tensor, dict[str, Tensor]]:
    """The loss, a scalar tensor, and sums over the batch: loss, right and count, and right and count of each task.

    The loss is the masked language model's mean loss plus that of each sentence task.
    """
    paddle = import_paddle()
    positions, labels = flat_positions(batch.labels)
    inputs = [paddle.to_tensor(value) for value in (batch.input_ids, batch.token_type_ids, positions)]
    with paddle.amp.auto_cast(enable=config.amp != "none", dtype="float16" if config.amp == "fp16" else "bfloat16"):
        logits, sentence_logits = model(*inputs)
    logits = logits.astype("float32")
    loss, right, count = masked_mean(paddle, logits, paddle.to_tensor(labels))
    # Paddle's cross entropy hides NaN: it treats such logits as equal ones (on a CPU, from 16 classes on).
    nan_if_any = 0.0 * logits.detach().sum()
    figures = {"loss": loss * count + nan_if_any, "right": right, "count": count}
    for index, (task, task_logits) in enumerate(zip(config.sentence_tasks, sentence_logits, strict=True)):
        task_labels = np.where(batch.tasks == index, batch.sentence_labels, -1)
        task_loss, right, count = masked_mean(paddle, task_logits.astype("float32"), paddle.to_tensor(task_labels))
        loss = loss + task_loss
        figures |= {f"{task}_right": right, f"{task}_count": count}
    return loss, figures


def flat_positions(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat positions of the predicted tokens and their labels, int64 [M]; padded with ignored ones (label -1)."""
    positions = np.flatnonzero(labels.reshape(-1) >= 0)
    size = max(1, -(-len(positions) // PADDING)) * PADDING
    padding = size - len(positions)
    position_labels = labels.reshape(-1)[positions]
    return np.pad(positions, (0, padding)), np.pad(position_labels, (0, padding), constant_values=-1)


def masked_mean(paddle: Any, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Mean cross entropy of float32 logits over the labels that are not negative; how many are right; their number.

    Written out because Paddle's mean counts ignored positions if `ignore_index` is negative.
    """
    counted = (labels >= 0).astype("float32")
    losses = paddle.nn.functional.cross_entropy(logits, paddle.clip(labels, min=0), reduction="none").reshape([-1])
    count = counted.sum()
    right = ((logits.argmax(axis=-1) == labels).astype("float32") * counted).sum()
    return (losses * counted).sum() / paddle.clip(count, min=1.0), right, count


def evaluate(model: Layer, held_out: Feeder, config: PretrainConfig) -> dict[str, float]:
    """Held-out figures, always on the same sequences with the same words masked."""
    paddle, sums, tokens = import_paddle(), dict[str, float](), 0
    length = min(HELD_OUT_LENGTH, max(stretch.length for stretch in config.lengths))
    generator = np.random.default_rng(1)
    sequences = held_out.corpus.sequences(length, np.random.default_rng(0))
    order = np.random.default_rng(2).permutation(len(sequences))  # a sample, if `eval_tokens` does not cover all
    rows = config.rows(length)
    model.eval()
    with paddle.no_grad():
        for start in range(0, len(sequences), rows):
            batch = held_out.batch(sequences.take(order[start : start + rows]), generator)
            for name, value in loss_of(model, batch, config)[1].items():
                sums[name] = sums.get(name, 0.0) + float(value)
            tokens += batch.tokens
            if tokens >= config.eval_tokens:
                break
    return {f"held_{name}": value for name, value in figures_of(sums).items()}


def figures_of(sums: dict[str, float]) -> dict[str, float]:
    """Mean loss and accuracy (percent) on the predicted tokens, and accuracy (percent) of each sentence task."""
    if not sums.get("count"):
        return {}
    figures = {
        "loss": round(sums["loss"] / sums["count"], 6),
        "accuracy": round(100 * sums["right"] / sums["count"], 3),
    }
    for name, right in sums.items():
        task = name.removesuffix("_right")
        if task != name and sums[f"{task}_count"]:
            figures[f"{task}_accuracy"] = round(100 * right / sums[f"{task}_count"], 3)
    return figures
