"""ERNIE with its pre-training heads, as a Paddle layer, from and to a checkpoint."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.weight_formats import Weights
from ..errors import CheckpointError
from ..framework import import_paddle, import_paddlenlp
from ..modeling.model import weights_of
from .corpus.sentence_tasks import CLASSES


def pretraining_model(start: Checkpoint, tasks: Sequence[str], dropout: float, seed: int) -> Any:
    """The layer with the checkpoint's weights; heads that it lacks start from `seed`. CheckpointError: another shape.

    tasks: the sentence tasks that it gets heads for.
    """
    paddle, transformers = import_paddle(), import_paddlenlp()
    from .layers import PretrainingEncoder

    settings = start.config.without_task().to_json()
    epsilon = settings.pop("layer_norm_eps", 1e-12)
    config = transformers.ErnieConfig(
        **settings, hidden_dropout_prob=dropout, attention_probs_dropout_prob=dropout, num_labels=2
    )

    paddle.seed(seed)
    model = PretrainingEncoder(config, {task: CLASSES[task] for task in tasks})
    for layer in model.sublayers():
        if isinstance(layer, paddle.nn.LayerNorm):
            layer._epsilon = epsilon  # PaddleNLP's ERNIE fixes 1e-12 whatever the configuration says
        elif isinstance(layer, paddle.nn.Linear):  # those of the encoder are given below
            layer.weight.set_value(_drawn(layer.weight.shape, seed, config.initializer_range))
    _load(model, start)
    return model


def _drawn(shape: Sequence[int], seed: int, spread: float) -> np.ndarray:
    values = np.random.default_rng([seed, *shape]).standard_normal(shape, np.float32)
    return values * np.float32(spread)


def _load(model: Any, start: Checkpoint) -> None:
    own = model.state_dict()
    for name, value in start.weights.items():
        if name in own and list(own[name].shape) != list(value.shape):
            raise CheckpointError(
                f"{start.where}: {name} is {list(value.shape)}, its configuration and vocabulary say "
                f"{list(own[name].shape)}: the checkpoint has another shape"
            )
    missing = [name for name in own if name.startswith("ernie.") and "pooler" not in name and name not in start.weights]
    if missing:
        raise CheckpointError(f"{start.where}: {len(missing)} encoder weights are missing, the first is {missing[0]}")
    model.set_state_dict({name: start.weights.get(name, value) for name, value in own.items()})


def trained_weights(model: Any, tasks: Sequence[str]) -> tuple[Weights, Weights]:
    """The encoder's weights (`ernie.`; the pooler only where a sentence task trained it) and the heads' (`cls.`)."""
    weights = weights_of(model)
    encoder = {n: v for n, v in weights.items() if n.startswith("ernie.") and (tasks or "pooler" not in n)}
    return encoder, {n: v for n, v in weights.items() if n.startswith("cls.")}
