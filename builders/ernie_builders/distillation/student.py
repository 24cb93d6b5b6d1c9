"""Students: of a stated shape, with what of the teacher fits into it, or an encoder that is there already."""

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
    """Of an encoder's layers."""

    layers: int
    hidden: int
    heads: int
    intermediate: int

    def __str__(self) -> str:
        inner = "" if self.intermediate == 4 * self.hidden else f"x{self.intermediate}"
        return f"{self.layers}x{self.hidden}x{self.heads}{inner}"


def parse_shape(text: str) -> Shape | None:
    """A shape as the command line has it, None where the text is none; ConfigError where there can be no such one."""
    if not re.fullmatch(r"\d+(x\d+)+", text):
        return None
    numbers = [int(number) for number in text.split("x")]
    if len(numbers) not in (3, 4):
        raise ConfigError(f"--student {text}: expected {FORM}")
    layers, hidden, heads, *inner = numbers
    intermediate = inner[0] if inner else 4 * hidden
    if not (layers and hidden and heads and intermediate):
        raise ConfigError(f"--student {text}: every number must be above 0")
    if hidden % heads:
        raise ConfigError(f"--student {text}: {heads} heads do not divide {hidden} hidden units; take a divisor")
    return Shape(layers, hidden, heads, intermediate)


def bare(encoder: Checkpoint) -> Checkpoint:
    """The encoder without a head, labels or what a task learnt."""
    return replace(
        encoder,
        config=encoder.config.without_task(),
        weights={n: v for n, v in encoder.weights.items() if n.startswith("ernie.") and "pooler" not in n},
    )


def make_student(asked: str, teacher: Checkpoint, seed: int = 0) -> Checkpoint:
    """A student of a shape, or the encoder that `asked` names as `--base-model` does; with the teacher's vocabulary.

    ConfigError or CheckpointError where the shape is none, or the encoder has another vocabulary.
    """
    shape = parse_shape(asked)
    if shape is not None:
        return of_shape(shape, bare(teacher), seed)
    try:
        found = bare(find_base_model(asked, seed))
    except CheckpointError as error:
        reason = str(error).removeprefix(f"--base-model {asked}: ")
        raise CheckpointError(f"--student {asked}: {reason}; or a shape, {FORM}") from None
    if found.vocabulary.read_bytes() != teacher.vocabulary.read_bytes():
        raise CheckpointError(
            f"--student {asked}: its vocabulary is not that of the teacher {teacher.where}, "
            "so their tokens are not the same; give a shape, or an encoder with that vocabulary"
        )
    return found


def of_shape(shape: Shape, teacher: Checkpoint, seed: int) -> Checkpoint:
    """A student with the teacher's layers where they fit (evenly spread), else with random ones.

    Embeddings of another width start as the teacher's in their first principal components, turned so that most of
    what tells words apart is kept, and scaled to the variance of the teacher's values.
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
        vocabulary=teacher.vocabulary,
    )


def _layers_of(teacher: Checkpoint) -> tuple[int, int]:
    return teacher.config.num_attention_heads, teacher.weights["ernie.encoder.layers.0.linear1.weight"].shape[1]


def _spread_layers(teacher: Checkpoint, layers: int) -> Weights:
    kept = layers_kept(layer_count(teacher.weights), layers)
    result = {}
    for new, old in enumerate(kept):
        at = f"ernie.encoder.layers.{old}."
        for name, value in teacher.weights.items():
            if name.startswith(at):
                result[f"ernie.encoder.layers.{new}.{name.removeprefix(at)}"] = value
    return result


def _projected(weights: Weights, hidden: int) -> Weights:
    """Embedding tables float32 [rows, hidden], the tables that there are."""
    table = weights[TABLES[0]].astype(np.float64)
    _, _, components = np.linalg.svd(table - table.mean(0), full_matrices=False)
    turn = components[:hidden].T  # [size, hidden]
    scale = table.std() / max((table @ turn).std(), 1e-12)
    return {name: (weights[name] @ turn * scale).astype(np.float32) for name in TABLES if name in weights}
