"""Base models: the shape of an encoder, by a published name or from a directory's configuration."""

from __future__ import annotations

import difflib
import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..config.tasks import ASSETS
from ..errors import CheckpointError
from .checkpoint import ernie_config
from .random_encoder import PREFIX, random_encoder

EMBEDDED = "embedded"
SHIPPED = "shipped:"  # the encoder of a checkpoint that ships: shipped:ocnli
CONFIGS = ("config.json", "model_config.json")
# What ErnieConfig takes where a configuration says nothing.
DEFAULTS = {"intermediate_size": 3072, "max_position_embeddings": 512, "type_vocab_size": 2, "task_type_vocab_size": 3}


@dataclass(frozen=True)
class Encoder:
    """Transformer layers."""

    layers: int
    hidden: int
    heads: int
    intermediate: int

    def parameters(self) -> int:
        """Weights of the layers and of the pooler."""
        attention = 4 * self.hidden * (self.hidden + 1)
        feed_forward = 2 * self.hidden * self.intermediate + self.intermediate + self.hidden
        norms = 4 * self.hidden
        return self.layers * (attention + feed_forward + norms) + self.hidden * (self.hidden + 1)


@dataclass(frozen=True)
class Embeddings:
    """Rows of the embedding tables."""

    vocabulary: int
    positions: int
    token_types: int
    task_types: int = 0  # 0: no task embedding
    entries: int = 0  # rows that vocab.txt uses; 0: not published

    def parameters(self, hidden: int) -> int:
        """Weights of the tables and of the norm after them."""
        return (self.vocabulary + self.positions + self.token_types + self.task_types + 2) * hidden


@dataclass(frozen=True)
class BaseModel:
    """A pre-trained encoder: its shape, and what is published about it."""

    name: str
    encoder: Encoder
    embeddings: Embeddings
    language: str = ""  # zh, en; empty: not known (a local directory)
    size: str = ""  # base, large: rows published for that size are this model's own
    like: tuple[str, ...] = ()  # models or sizes whose figures stand in, in this order
    figures: Mapping[str, Any] = field(default_factory=dict)  # dev figures by preset, in percent

    @property
    def parameters(self) -> int:
        """All weights without a task head."""
        return self.embeddings.parameters(self.encoder.hidden) + self.encoder.parameters()

    @property
    def shape(self) -> str:
        """Layers x hidden x heads."""
        return f"{self.encoder.layers} x {self.encoder.hidden} x {self.encoder.heads}"


def is_download(name: str) -> bool:
    """Whether `--base-model` is a name that PaddleNLP is asked for (modeling/model.py)."""
    return folder_of(name) is None and re.fullmatch(r"ernie[\w.-]*", name) is not None


def is_random(name: str) -> bool:
    """Whether `--base-model` asks for weights without pre-training."""
    return name.startswith(PREFIX)


def folder_of(name: str) -> Path | None:
    """The directory that `--base-model` means; None for a name that PaddleNLP downloads, and for `random:...`."""
    if name.startswith(SHIPPED):
        folder = ASSETS / "checkpoints" / name.removeprefix(SHIPPED)
    else:
        folder = ASSETS / "encoder" if name == EMBEDDED else Path(name)
    return folder if folder.is_dir() else None


def unpublished_model(name: str, folder: Path | None) -> BaseModel:
    """The shape of `random:...`, or of a directory by its configuration; CheckpointError where there is none."""
    if folder is None:
        return _model(name, random_encoder(name).config, name)
    path = next((folder / config for config in CONFIGS if (folder / config).is_file()), None)
    if path is None:
        raise CheckpointError(f"{folder}: no config.json (or PaddleNLP's older model_config.json)")
    try:
        raw = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CheckpointError(f"{path}: cannot be read ({error})") from None
    return _model(name, ernie_config(raw, path), path)


def _model(name: str, config: Mapping[str, Any], where: Path | str) -> BaseModel:
    config = {**DEFAULTS, **config}
    wrong = [key for key in DEFAULTS if not isinstance(config[key], int)]
    if wrong:
        raise CheckpointError(f"{where}: {wrong[0]} is {config[wrong[0]]!r}, expected a whole number")
    encoder = Encoder(
        config["num_hidden_layers"], config["hidden_size"], config["num_attention_heads"], config["intermediate_size"]
    )
    task_types = config["task_type_vocab_size"] if config.get("use_task_id") else 0
    tables = Embeddings(config["vocab_size"], config["max_position_embeddings"], config["type_vocab_size"], task_types)
    return BaseModel(name, encoder, tables)


def nearest(model: BaseModel, others: Iterable[BaseModel]) -> BaseModel:
    """The one of `others` whose layers are nearest to the model's in size."""
    size = math.log(model.encoder.parameters())
    return min(others, key=lambda other: abs(math.log(other.encoder.parameters()) - size))


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """`; did you mean A or B?`, or nothing where no known name is close."""
    near = difflib.get_close_matches(name, list(known), 2, 0.6)
    return f"; did you mean {' or '.join(near)}?" if near else ""
