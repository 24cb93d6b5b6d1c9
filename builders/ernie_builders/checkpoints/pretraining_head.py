"""The masked-language-model head of a pre-trained encoder, wherever a model directory keeps it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from ..errors import CheckpointError
from .architectures import WORDS, is_tied
from .checkpoint import BASES, Checkpoint
from .weight_formats import HEAD, Weights, read_weights, with_head_names

FILE = "mlm_head.safetensors"  # beside the weights of an encoder without heads
PARTS = ("transform.weight", "transform.bias", "layer_norm.weight", "layer_norm.bias", "decoder_bias")


def with_pretraining_head(source: Checkpoint) -> Checkpoint:
    """The checkpoint with its head as `cls.predictions.*`: transform, layer norm, and the bias of a tied decoder.

    The head is among the weights, or in mlm_head.safetensors of the same directory, under Hugging Face's or PaddleNLP's
    names. CheckpointError where there is none, or its decoder is not the table of word embeddings.
    """
    stored = with_head_names({name: value for name, value in source.weights.items() if name.startswith(HEAD)})
    file = BASES.get(source.where, Path(source.where)) / FILE
    if not stored and file.is_file():
        stored = _read(file)
    for name in PARTS:
        if HEAD + name not in stored:
            raise CheckpointError(
                f"{source.where}: has no pre-training head ({HEAD}{name}, in its weights or in {FILE}), "
                "so it cannot fill masks"
            )
    table, bias, decoder = (source.weights[WORDS], stored[HEAD + "decoder_bias"], stored.get(HEAD + "decoder_weight"))
    if decoder is not None and not is_tied(decoder, table):
        raise CheckpointError(
            f"{source.where}: {HEAD}decoder.weight is not the table of word embeddings: not supported"
        )
    if len(bias) != len(table):
        raise CheckpointError(
            f"{source.where}: the pre-training head has {len(bias):,} entries, "
            f"the word embeddings {len(table):,}: not this model's head"
        )
    head = {HEAD + name: np.asarray(stored[HEAD + name], np.float32) for name in PARTS}
    others = {name: value for name, value in source.weights.items() if not name.startswith(HEAD)}
    return replace(source, weights={**others, **head})


def _read(file: Path) -> Weights:
    stored = read_weights(file)
    # Hugging Face stores linear layers as [out, in], Paddle as [in, out]; only Hugging Face's name has `dense`.
    return with_head_names(
        {
            HEAD + name.removeprefix("cls.").removeprefix("predictions."): (
                value.T if name.endswith("transform.dense.weight") else value
            )
            for name, value in stored.items()
        }
    )
