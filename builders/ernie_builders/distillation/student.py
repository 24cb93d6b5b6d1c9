"""Students: of a given shape, with those of the teacher's weights that fit, or an existing encoder."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

import numpy as np

from ..checkpoints.checkpoint import Checkpoint
from ..checkpoints.random_encoder import INITIALIZER_RANGE, random_weights
from ..checkpoints.weight_formats import Weights
from ..errors import CheckpointError, ConfigError
from ..modeling.model import find_base_model
from ..modeling.width import layer_count, layers_kept

TABLES = tuple(f"ernie.embeddings.{name}_embeddings.weight" for name in ("word", "position", "token_type", "task_type"))
EMBEDDINGS_NORM = "ernie.embeddings.layer_norm"
FORM = "LAYERSxHIDDENxHEADS or LAYERSxHIDDENxHEADSxINTERMEDIATE, such as 2x156x6"


@dataclass(frozen=True)
class Shape:
    """Sizes of an encoder."""

    layers: int
    hidden: int
    heads: int
    intermediate: int

    def __str__(self) -> str:
        inner = "" if self.intermediate == 4 * self.hidden else f"x{self.intermediate}"
        return f"{self.layers}x{self.hidden}x{self.heads}{inner}"


def parse_shape(text: str) -> Shape | None:
    """The shape of `2x156x6`; None if the text is no shape, ConfigError if there can be no such encoder."""
    if not re.fullmatch(r"\d+(x\d+)+", text):
        return None
    numbers = [int(number) for number in text.split("x")]
    if len(numbers) not in (3, 4):
        raise ConfigError(f"--student {text}: expected {FORM}")
    layers, hidden, heads, *given_intermediate = numbers
    intermediate = given_intermediate[0] if given_intermediate else 4 * hidden
    if not (layers and hidden and heads and intermediate):
        raise ConfigError(f"--student {text}: every number must be above 0")
    if hidden % heads:
        raise ConfigError(f"--student {text}: {heads} heads do not divide {hidden} hidden units; take a divisor")
    return Shape(layers, hidden, heads, intermediate)


def bare(encoder: Checkpoint) -> Checkpoint:
    """The encoder alone: without head, labels and task options."""
    return replace(
        encoder,
        config=encoder.config.without_task(),
        weights={n: v for n, v in encoder.weights.items() if n.startswith("ernie.") and "pooler" not in n},
    )


def make_student(name: str, teacher: Checkpoint, seed: int = 0) -> Checkpoint:
    """A student of the shape `name`, or the encoder `name` (as --base-model names it), with the teacher's vocabulary.

    ConfigError or CheckpointError if the shape is impossible, or the encoder has another vocabulary.
    """
    shape = parse_shape(name)
    if shape is not None:
        return of_shape(shape, bare(teacher), seed)
    try:
        student = bare(find_base_model(name, seed))
    except CheckpointError as error:
        reason = str(error).removeprefix(f"--base-model {name}: ")
        raise CheckpointError(f"--student {name}: {reason}; or a shape, {FORM}") from None
    if student.tokenizer.fingerprint != teacher.tokenizer.fingerprint:
        raise CheckpointError(
            f"--student {name}: its vocabulary is not that of the teacher {teacher.where}, "
            "so their tokens are not the same; give a shape, or an encoder with that vocabulary"
        )
    return student


def of_shape(shape: Shape, teacher: Checkpoint, seed: int) -> Checkpoint:
    """A student with the teacher's layers if they fit (evenly spread), else with random layers.

    Narrower embeddings start as the teacher's, projected to their first principal components, which keep most of what
    distinguishes words, and scaled to the variance of the teacher's values.
    """
    size = teacher.weights[TABLES[0]].shape[1]
    config = replace(
        teacher.config,
        num_hidden_layers=shape.layers,
        hidden_size=shape.hidden,
        num_attention_heads=shape.heads,
        intermediate_size=shape.intermediate,
        vocab_size=len(teacher.weights[TABLES[0]]),
        max_position_embeddings=len(teacher.weights[TABLES[1]]),
        type_vocab_size=len(teacher.weights[TABLES[2]]),
    )
    if config.initializer_range is None:
        config = replace(config, initializer_range=INITIALIZER_RANGE)
    weights = random_weights(config, seed)
    if shape.hidden == size:
        weights |= {n: v for n, v in teacher.weights.items() if n.startswith("ernie.embeddings.")}
        if (shape.heads, shape.intermediate) == _layers_of(teacher) and shape.layers <= layer_count(teacher.weights):
            weights |= _spread_layers(teacher, shape.layers)
    elif shape.hidden < size:
        weights |= _projected(teacher.weights, shape.hidden)
    else:
        config = replace(config, use_task_id=False)
    return Checkpoint(
        where=f"student {shape}, seed {seed}",
        config=config,
        weights={name: np.ascontiguousarray(value) for name, value in weights.items()},
        tokenizer=teacher.tokenizer,
    )


def _layers_of(teacher: Checkpoint) -> tuple[int, int]:
    return teacher.config.num_attention_heads, teacher.weights["ernie.encoder.layers.0.linear1.weight"].shape[1]


def _spread_layers(teacher: Checkpoint, layers: int) -> Weights:
    layer_indices = layers_kept(layer_count(teacher.weights), layers)
    result = {}
    for index, teacher_index in enumerate(layer_indices):
        prefix = f"ernie.encoder.layers.{teacher_index}."
        for name, value in teacher.weights.items():
            if name.startswith(prefix):
                result[f"ernie.encoder.layers.{index}.{name.removeprefix(prefix)}"] = value
    return result


def _projected(weights: Weights, hidden: int) -> Weights:
    """The teacher's embedding tables projected, float32 [rows, hidden]."""
    table = weights[TABLES[0]].astype(np.float64)
    _, _, components = np.linalg.svd(table - table.mean(0), full_matrices=False)
    projection = components[:hidden].T  # [size, hidden]
    scale = table.std() / max((table @ projection).std(), 1e-12)
    return {name: (weights[name] @ projection * scale).astype(np.float32) for name in TABLES if name in weights}
