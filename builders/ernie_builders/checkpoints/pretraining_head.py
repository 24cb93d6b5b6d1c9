"""The masked-language-model head of a pre-trained encoder, wherever a model directory keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from .checkpoint import BASES, Checkpoint
from .weight_formats import Weights, read_weights

FILE = "mlm_head.safetensors"  # beside the weights of an encoder without heads
PREFIX = "cls.predictions."
TABLE = "ernie.embeddings.word_embeddings.weight"
# PaddleNLP's name in the head -> the names in use; Hugging Face's are the second ones.
NAMES = {
    "transform.weight": ("transform.weight", "transform.dense.weight"),
    "transform.bias": ("transform.bias", "transform.dense.bias"),
    "layer_norm.weight": ("layer_norm.weight", "transform.LayerNorm.weight"),
    "layer_norm.bias": ("layer_norm.bias", "transform.LayerNorm.bias"),
    "decoder_bias": ("decoder_bias", "decoder.bias", "bias"),
}
DECODERS = ("decoder.weight", "decoder_weight")


def with_pretraining_head(source: Checkpoint) -> Checkpoint:
    """The checkpoint with its head as `cls.predictions.*`: transform, layer norm, and the bias of a tied decoder.

    The head is among the weights, or in mlm_head.safetensors of the same directory, under Hugging Face's or PaddleNLP's
    names. CheckpointError where there is none, or its decoder is not the table of word embeddings.
    """
    stored = {name.removeprefix(PREFIX): value for name, value in source.weights.items() if name.startswith(PREFIX)}
    file = BASES.get(source.where, Path(source.where)) / FILE
    if not stored and file.is_file():
        stored = _read(file)
    head: Weights = {}
    for name, spellings in NAMES.items():
        value = next((stored[spelling] for spelling in spellings if spelling in stored), None)
        if value is None:
            raise CheckpointError(
                f"{source.where}: has no pre-training head ({PREFIX}{name}, in its weights or in {FILE}), "
                "so it cannot fill masks"
            )
        head[PREFIX + name] = np.asarray(value, np.float32)
    table = source.weights[TABLE]
    for name in DECODERS:
        if name in stored and not any(_same(stored[name], tied) for tied in (table, table.T)):
            raise CheckpointError(f"{source.where}: {PREFIX}{name} is not the table of word embeddings: not supported")
    if len(head[f"{PREFIX}decoder_bias"]) != len(table):
        raise CheckpointError(
            f"{source.where}: the pre-training head has {len(head[f'{PREFIX}decoder_bias']):,} entries, "
            f"the word embeddings {len(table):,}: not this model's head"
        )
    others = {name: value for name, value in source.weights.items() if not name.startswith(PREFIX)}
    return replace(source, weights={**others, **head})


def _read(file: Path) -> Weights:
    stored = read_weights(file)
    names = {name: name.removeprefix("cls.").removeprefix("predictions.") for name in stored}
    # Hugging Face stores linear layers as [out, in], Paddle as [in, out]; only Hugging Face's name has `dense`.
    return {
        short: stored[name].T if short == "transform.dense.weight" else stored[name] for name, short in names.items()
    }


def _same(left: np.ndarray, right: np.ndarray) -> bool:
    return left.shape == right.shape and bool(np.allclose(left, right))
