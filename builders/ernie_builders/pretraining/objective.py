"""What is made small, and the figures of it: on a batch, and on held-out text."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..framework import import_paddle
from .batches import Batch, Feeder
from .config import PretrainConfig

PADDING = 64  # the number of hidden tokens is rounded up to a multiple of it, so that shapes repeat
HELD_OUT_LENGTH = 128  # of held-out sequences, so that figures of runs compare


def loss_of(model: Any, batch: Batch, config: PretrainConfig) -> tuple[Any, dict[str, Any]]:
    """The loss, a tensor, and sums over the batch, tensors too: loss, right, count, and right and count of each task.

    The masked language model's mean loss and those of the sentence tasks count alike.
    """
    paddle = import_paddle()
    places, labels = flat_places(batch.labels)
    inputs = [paddle.to_tensor(value) for value in (batch.input_ids, batch.token_type_ids, places)]
    with paddle.amp.auto_cast(enable=config.amp != "none", dtype="float16" if config.amp == "fp16" else "bfloat16"):
        logits, sentence = model(*inputs)
    logits = logits.astype("float32")
    loss, right, count = masked_mean(paddle, logits, paddle.to_tensor(labels))
    # Paddle's cross entropy of logits that are no numbers is that of equal ones (CPU, 16 classes and more).
    no_number = 0.0 * logits.detach().sum()
    figures = {"loss": loss * count + no_number, "right": right, "count": count}
    for number, (task, output) in enumerate(zip(config.sentence_tasks, sentence, strict=True)):
        own = np.where(batch.tasks == number, batch.sentence_labels, -1)
        part, right, count = masked_mean(paddle, output.astype("float32"), paddle.to_tensor(own))
        loss = loss + part
        figures |= {f"{task}_right": right, f"{task}_count": count}
    return loss, figures


def flat_places(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Flat places of the hidden tokens and their labels, int64 [M]; M is rounded up with ignored ones (label -1)."""
    places = np.flatnonzero(labels.reshape(-1) >= 0)
    size = max(1, -(-len(places) // PADDING)) * PADDING
    spare = size - len(places)
    known = labels.reshape(-1)[places]
    return np.pad(places, (0, spare)), np.pad(known, (0, spare), constant_values=-1)


def masked_mean(paddle: Any, logits: Any, labels: Any) -> tuple[Any, Any, Any]:
    """Mean cross entropy of float32 logits over labels of 0 and more; how many of these are right; their number.

    By hand: Paddle's mean counts ignored places where `ignore_index` is negative.
    """
    known = (labels >= 0).astype("float32")
    losses = paddle.nn.functional.cross_entropy(logits, paddle.clip(labels, min=0), reduction="none").reshape([-1])
    count = known.sum()
    right = ((logits.argmax(axis=-1) == labels).astype("float32") * known).sum()
    return (losses * known).sum() / paddle.clip(count, min=1.0), right, count


def evaluate(model: Any, held_out: Feeder, config: PretrainConfig) -> dict[str, float]:
    """Held-out figures, on the same sequences with the same words hidden each time."""
    paddle, sums, seen = import_paddle(), dict[str, float](), 0
    length = min(HELD_OUT_LENGTH, max(stretch.length for stretch in config.lengths))
    generator = np.random.default_rng(1)
    sequences = held_out.corpus.sequences(length, np.random.default_rng(0))
    order = np.random.default_rng(2).permutation(len(sequences))  # some of all, where not all are looked at
    rows = config.rows(length)
    model.eval()
    with paddle.no_grad():
        for first in range(0, len(sequences), rows):
            batch = held_out.batch(sequences.take(order[first : first + rows]), generator)
            for name, value in loss_of(model, batch, config)[1].items():
                sums[name] = sums.get(name, 0.0) + float(value)
            seen += batch.tokens
            if seen >= config.eval_tokens:
                break
    return {f"held_{name}": value for name, value in figures_of(sums).items()}


def figures_of(sums: dict[str, float]) -> dict[str, float]:
    """Mean loss and accuracy in percent of the masked tokens, and accuracy of the sentence tasks."""
    if not sums.get("count"):
        return {}
    found = {"loss": round(sums["loss"] / sums["count"], 6), "accuracy": round(100 * sums["right"] / sums["count"], 3)}
    for name, right in sums.items():
        task = name.removesuffix("_right")
        if task != name and sums[f"{task}_count"]:
            found[f"{task}_accuracy"] = round(100 * right / sums[f"{task}_count"], 3)
    return found
