"""ERNIE with its pre-training heads: initial weights, the Paddle layer, and the trained weights."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..checkpoints.checkpoint import BASES, Checkpoint
from ..checkpoints.pretraining_head import FILE as HEAD_FILE
from ..checkpoints.pretraining_head import with_pretraining_head
from ..checkpoints.random_encoder import PREFIX
from ..checkpoints.weight_formats import Weights, fingerprint
from ..errors import CheckpointError
from ..framework import import_paddle, import_paddlenlp
from ..modeling.model import find_base_model, weights_of
from .corpus.sentence_tasks import CLASSES
from .corpus.vocabulary import with_vocabulary

if TYPE_CHECKING:
    from paddle.nn import Layer


def pretraining_model(start: Checkpoint, tasks: Sequence[str], dropout: float, seed: int) -> Layer:
    """The Paddle layer with the checkpoint's weights; heads that the checkpoint lacks are drawn from `seed`.

    tasks: the sentence tasks to make heads for. CheckpointError if a weight has another shape or is missing.
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
        elif isinstance(layer, paddle.nn.Linear):  # those of the encoder are replaced below
            layer.weight.set_value(_drawn(layer.weight.shape, seed, config.initializer_range))
    _load(model, start)
    return model


def _drawn(shape: Sequence[int], seed: int, deviation: float) -> np.ndarray:
    values = np.random.default_rng([seed, *shape]).standard_normal(shape, np.float32)
    return values * np.float32(deviation)


def _load(model: Layer, start: Checkpoint) -> None:
    initial = model.state_dict()
    for name, value in start.weights.items():
        if name in initial and list(initial[name].shape) != list(value.shape):
            raise CheckpointError(
                f"{start.where}: {name} is {list(value.shape)}, its configuration and vocabulary say "
                f"{list(initial[name].shape)}: the checkpoint has another shape"
            )
    missing = [
        name for name in initial if name.startswith("ernie.") and "pooler" not in name and name not in start.weights
    ]
    if missing:
        raise CheckpointError(f"{start.where}: {len(missing)} encoder weights are missing, the first is {missing[0]}")
    model.set_state_dict({name: start.weights.get(name, value) for name, value in initial.items()})


def trained_weights(model: Layer, tasks: Sequence[str]) -> tuple[Weights, Weights]:
    """The encoder's weights (`ernie.`; the pooler only if a sentence task trained it) and the heads' (`cls.`)."""
    weights = weights_of(model)
    encoder = {n: v for n, v in weights.items() if n.startswith("ernie.") and (tasks or "pooler" not in n)}
    return encoder, {n: v for n, v in weights.items() if n.startswith("cls.")}


def find_start(init: str, shape: str, vocabulary: Path, seed: int) -> Checkpoint:
    """The initial weights: of --init, with its pre-training head if it has one, else random ones of --shape."""
    if not init:
        return find_base_model(f"{PREFIX}{shape}:{vocabulary}", seed)
    return with_vocabulary(with_own_head(find_base_model(init, seed)), vocabulary)


def with_own_head(encoder: Checkpoint) -> Checkpoint:
    """The encoder with its pre-training head, if it has one."""
    stored = BASES.get(encoder.where, Path(encoder.where)) / HEAD_FILE
    has_head = stored.is_file() or any(name.startswith("cls.predictions.") for name in encoder.weights)
    return with_pretraining_head(encoder) if has_head else encoder


def start_key(start: Checkpoint) -> str:
    """16 hexadecimal digits that identify initial weights."""
    return fingerprint(start.weights)[:16]
