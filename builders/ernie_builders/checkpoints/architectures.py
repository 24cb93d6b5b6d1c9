"""Families of encoders that are ERNIE by other names: their configuration and weights as ERNIE's.

BERT, RoBERTa and XLM-R, SKEP, TinyBERT, PP-MiniLM, ERNIE-M and ERNIE-Gram compute what ERNIE computes. They differ in
the names of weights, in the position of the first token, in token types, and in the epsilon of layer normalization.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.json_types import JsonObject

from ..errors import CheckpointError
from .model_settings import check_settings
from .weight_formats import HEAD, MODELS, Weights

POSITIONS = "ernie.embeddings.position_embeddings.weight"
TOKEN_TYPES = "ernie.embeddings.token_type_embeddings.weight"
WORDS = "ernie.embeddings.word_embeddings.weight"
PREFIXES = tuple(name for name in MODELS if name not in ("ernie", "bert"))  # whose family config.json must name
TOKEN_TYPE_ROWS = 2  # a window of two texts has two


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """What a family has that ERNIE has otherwise."""

    name: str
    counts_from_pad: bool = False  # positions start after the id of the pad token
    first_position: int = 0
    has_token_types: bool = True
    layer_norm_eps: float | None = None  # where config.json does not say

    def start(self, config: Mapping[str, Any], where: Path | str) -> int:
        """The row of the position embeddings that the first token gets; CheckpointError if nothing says so."""
        if not self.counts_from_pad:
            return self.first_position
        pad_id = config.get("pad_token_id")
        if not isinstance(pad_id, int) or pad_id < 0:
            raise CheckpointError(f"{where}: pad_token_id is {pad_id!r}, {self.name} counts positions from it")
        return pad_id + 1

    def as_ernie(self, config: Mapping[str, Any], where: Path | str) -> JsonObject:
        """The configuration as that of the ERNIE with the weights that `ernie_weights` returns; CheckpointError.

        Every setting that changes what the model computes is obeyed, or refused by its name.
        """
        check_settings(config, where)
        changed: JsonObject = dict(config)
        if config.get("pad_token_id") is not None:
            changed["pad_token_id"] = 0
        if self.layer_norm_eps is not None and config.get("layer_norm_eps") is None:
            changed["layer_norm_eps"] = self.layer_norm_eps
        if not self.has_token_types:
            changed["type_vocab_size"] = TOKEN_TYPE_ROWS
        start, rows = self.start(config, where), config.get("max_position_embeddings")
        if start and isinstance(rows, int):
            if rows <= start:
                raise CheckpointError(
                    f"{where}: max_position_embeddings is {rows}, but {self.name} starts at position {start}"
                )
            changed["max_position_embeddings"] = rows - start
        return changed

    def ernie_weights(self, weights: Weights, config: Mapping[str, Any], where: Path | str) -> Weights:
        """The weights as ERNIE's; `weights`: under PaddleNLP's names, with this family's tables and heads."""
        result = _without_roberta_head(weights)
        decoder = result.get(HEAD + "decoder_weight")
        if decoder is not None and WORDS in result and is_tied(decoder, result[WORDS]):
            del result[HEAD + "decoder_weight"]
        if (start := self.start(config, where)) and POSITIONS in result:
            result[POSITIONS] = result[POSITIONS][start:]
        if not self.has_token_types and WORDS in result:
            result[TOKEN_TYPES] = np.zeros((TOKEN_TYPE_ROWS, result[WORDS].shape[1]), np.float32)
        return result


ERNIE = Architecture(name="ernie")
BY_MODEL_TYPE = {
    "ernie": ERNIE,
    "bert": Architecture(name="bert"),
    "roberta": Architecture(name="roberta", counts_from_pad=True),
    "xlm-roberta": Architecture(name="xlm-roberta", counts_from_pad=True),
    # PaddleNLP's classes have this epsilon whatever the configuration says, and write none.
    "ernie_m": Architecture(name="ernie_m", first_position=2, has_token_types=False, layer_norm_eps=1e-5),
    "ernie_gram": Architecture(name="ernie_gram", layer_norm_eps=1e-5),
    "skep": Architecture(name="skep", layer_norm_eps=1e-5),
    "tinybert": Architecture(name="tinybert"),
    "ppminilm": Architecture(name="ppminilm"),
}
# Names of classes, as `architectures` and PaddleNLP's older `init_class` give them -> model_type.
CLASSES = (
    (r"XLMRoberta(Model|For\w+)", "xlm-roberta"),
    (r"Roberta(Model|For\w+)", "roberta"),
    (r"Bert(Model|For\w+)", "bert"),
    (r"Skep(Model|For\w+)", "skep"),
    (r"TinyBert(Model|For\w+)", "tinybert"),
    (r"PPMiniLM(Model|For\w+)", "ppminilm"),
    (r"ErnieGram(Model|For\w+)", "ernie_gram"),
    (r"ErnieM(Model|For\w+)|UIEM", "ernie_m"),
    (r"Ernie(Model|For\w+)|UIE|UTC", "ernie"),
)


def architecture_of(config: Mapping[str, Any], where: Path | str) -> Architecture:
    """The family that a configuration names by model_type or class; ERNIE where it names none, as this project's own.

    CheckpointError for a family that is not supported.
    """
    model_type = config.get("model_type")
    if model_type is not None:
        architecture = BY_MODEL_TYPE.get(str(model_type))
        if architecture is None:
            raise CheckpointError(f"{where}: model_type is {model_type}, supported are {', '.join(BY_MODEL_TYPE)}")
        return architecture
    stated = config.get("architectures") or [config.get("init_class")]
    name = stated[0] if isinstance(stated, list) else stated
    if name is None:
        return ERNIE
    for pattern, known in CLASSES:
        if re.fullmatch(pattern, str(name)):
            return BY_MODEL_TYPE[known]
    raise CheckpointError(f"{where}: a model of class {name}, supported are {', '.join(BY_MODEL_TYPE)}")


def check_prefix(architecture: Architecture, names: list[str], where: Path | str) -> None:
    """CheckpointError for weights of a family that the configuration does not name: they would be read as ERNIE's."""
    prefix = next((name.split(".")[0] for name in names if name.split(".")[0] in PREFIXES), None)
    if prefix is not None and architecture is ERNIE:
        raise CheckpointError(
            f"{where}: its weights are called {prefix}..., its configuration names no such model: add model_type"
        )


def is_tied(decoder: np.ndarray, table: np.ndarray) -> bool:
    """Whether the decoder of a pre-training head is the table of word embeddings, or its transpose."""
    return any(decoder.shape == tied.shape and bool(np.allclose(decoder, tied)) for tied in (table, table.T))


def _without_roberta_head(weights: Weights) -> Weights:
    """RoBERTa's classification head, which reads the first token, as ERNIE's pooler and linear layer."""
    if "classifier.out_proj.weight" not in weights:
        return dict(weights)
    result = {name: value for name, value in weights.items() if not name.startswith("ernie.pooler.")}
    for part in ("weight", "bias"):
        result[f"ernie.pooler.dense.{part}"] = result.pop(f"classifier.dense.{part}")
        result[f"classifier.{part}"] = result.pop(f"classifier.out_proj.{part}")
    return result
