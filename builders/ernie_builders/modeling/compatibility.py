"""Whether weights fit a task and its variants, checked before anything is trained."""

from __future__ import annotations

import re

from ..checkpoints.checkpoint import Checkpoint
from ..config.tasks import TaskConfig
from ..config.variants import parse_variant
from ..errors import ConfigError
from ..kinds import get_builder_kind
from .width import check_width, layers_kept

POOLER = "ernie.pooler.dense.weight"


def check_fit(task: TaskConfig, source: Checkpoint, ready: bool) -> None:
    """ConfigError for too few positions, a missing pooler, other labels, or a width or depth that cannot be.

    ready: the weights are fine-tuned, so that their labels must be the task's.
    """
    positions = len(source.weights["ernie.embeddings.position_embeddings.weight"])
    if task.limits.max_length > positions:
        raise ConfigError(
            f"tasks.{task.name}.limits.max_length is {task.limits.max_length}, {source.where} has {positions} positions"
        )
    if get_builder_kind(task.kind).reads_pooler(task.options) and POOLER not in source.weights:
        raise ConfigError(
            f"{source.where}: has no pooler ({POOLER}), which tasks.{task.name}.options.pooling names; "
            "take another pooling"
        )
    if ready and (lack := get_builder_kind(task.kind).lacks(source, task.options)):
        raise ConfigError(f"tasks.{task.name}: {source.where} {lack}")
    outputs = source.weights.get("classifier.bias")
    if ready and task.labels and outputs is not None and len(outputs) != len(task.labels):
        raise ConfigError(
            f"{source.where}: its head has {len(outputs)} outputs, tasks.{task.name} has {len(task.labels)} labels: "
            "the number of labels differs"
        )
    for name in task.variants:
        _check_variant(name, task, source)
    labels = source.config.id2label or {}
    names = [str(labels[index]) for index in sorted(labels, key=int)]
    if not ready or all(re.fullmatch(r"LABEL_\d+", name) for name in names):
        return  # the checkpoint does not name its labels: they are the task's, in this order
    if not task.labels:
        raise ConfigError(
            f"{source.where}: its id2label names classes ({', '.join(names[:20])}), which a {task.kind} has not: take "
            "id2label out of config.json, or give the task another kind"
        )
    if names not in ([label.id for label in task.labels], [label.name for label in task.labels]):
        raise ConfigError(
            f"{source.where}: its labels are {', '.join(names[:20])}; "
            f"tasks.{task.name}.labels must be these, in this order"
        )


def _check_variant(name: str, task: TaskConfig, source: Checkpoint) -> None:
    recipe, config = parse_variant(name), source.config
    try:
        if recipe.depth:
            layers_kept(config.num_hidden_layers, recipe.depth)
        if recipe.width < 1:
            neurons = source.weights["ernie.encoder.layers.0.linear1.weight"].shape[1]
            check_width(recipe.width, config.num_attention_heads, neurons)
    except ConfigError as error:
        raise ConfigError(f"tasks.{task.name}: variant {name}: {error}") from None
