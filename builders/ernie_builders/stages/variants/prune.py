"""Make the fine-tuned model narrower or shallower, and distil it from the full one."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ernie_runtime.json_types import JsonObject
from ernie_runtime.steps.batching import pad_rows

from ...checkpoints.checkpoint import Checkpoint
from ...framework import import_paddle
from ...kinds import Row, get_builder_kind
from ...modeling.model import build_model
from ...modeling.width import Importance, add_importance, check_width, layers_kept, narrowed, shallower
from ..context import Context
from ..data import training_text
from ..draft import fine_tuned, manifest_of, tokenizer_for
from ..results import FineTuned
from ..stage import Finished, Stage
from .distil import distil, settings_of

if TYPE_CHECKING:
    from paddle import Tensor

FORMAT = 2  # raise it when the same recipe prunes or trains in another way


def inputs(context: Context, finished: Finished) -> JsonObject:
    """The fine-tuned checkpoint, the training text, the shape, how it is distilled."""
    return {
        "checkpoint": finished.fine_tuned.key,
        "data": finished.data.key,
        "width": context.recipe.width,
        "depth": context.recipe.depth,
        "settings": settings_of(context),
        "seed": context.seed,
        "pruning": FORMAT,
    }


def run(context: Context, finished: Finished, folder: Path) -> FineTuned:
    """Leave a checkpoint in `folder`/best."""
    import_paddle(context.device)
    recipe = context.recipe
    full = fine_tuned(finished.fine_tuned)
    train = training_text(context, finished)
    size = full.config.head_size
    weights, config = full.weights, full.config
    if recipe.depth:
        layers_kept(config.num_hidden_layers, recipe.depth)
        weights, config = shallower(weights, recipe.depth), replace(config, num_hidden_layers=recipe.depth)
    if recipe.width < 1:
        inner = weights["ernie.encoder.layers.0.linear1.weight"].shape[1]
        check_width(recipe.width, config.num_attention_heads, inner)
        scores = importance(context, finished, replace(full, weights=weights, config=config), train)
        weights = narrowed(weights, scores, recipe.width, size)
    student = replace(full, config=config, weights=weights)
    return distil(context, finished, folder, full, student)


def line(result: FineTuned) -> str:
    """The figure on held-out rows after distilling, and the size."""
    figure = f"held-out {result.main} {result.metrics[result.main]:.2f} at " if result.metrics else ""
    return (
        f"{result.weights / 1e6:.1f} million weights; {figure}batch {result.batch} of {result.batches}, "
        f"{result.seconds} s of distilling"
    )


STAGE = Stage(name="prune", result_type=FineTuned, inputs=inputs, run=run, line=line)


def importance(context: Context, finished: Finished, model: Checkpoint, train: list[Any]) -> Importance:
    """Importance of every head and FFN neuron, from gradients of the task's loss on part of the training text."""
    import paddle

    from ...training.dataset import training_rows

    kind, settings = get_builder_kind(context.task.kind), context.task.compress
    tokenizer = tokenizer_for(context.task, model.tokenizer)
    manifest = manifest_of(context, finished.fine_tuned, tokenizer)
    chosen = np.random.default_rng(context.seed).permutation(len(train))[: max(1, settings.importance_rows)]
    rows = training_rows(manifest, tokenizer, [train[i] for i in sorted(chosen)], context.task.train.windows_per_text)
    layer = build_model(kind, model, manifest, ready=True)
    layer.eval()  # no dropout: the gradients are those of the model as it is served
    size = model.config.head_size
    total: Importance = []
    rows = sorted(rows, key=lambda row: max(len(window.input_ids) for window in row.windows))
    for start in range(0, len(rows), settings.batch_size):
        batch = rows[start : start + settings.batch_size]
        windows = [window for row in batch for window in row.windows]
        outputs = kind.outputs(
            layer(
                paddle.to_tensor(pad_rows([window.input_ids for window in windows])),
                token_type_ids=paddle.to_tensor(pad_rows([window.token_type_ids for window in windows])),
            )
        )
        kind.loss(outputs, batch_targets(batch)).backward()
        add_importance(total, layer.ernie.encoder.layers, size)
        layer.clear_gradients()
    return total


def batch_targets(batch: list[Row]) -> dict[str, Tensor]:
    """A batch's targets as Paddle tensors, by name."""
    import paddle

    from ...training.dataset import pad_targets

    return {name: paddle.to_tensor(pad_targets(batch, name)) for name in batch[0].targets}
