"""Base models: what `--base-model` may name, and the shapes of their encoders."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ernie_runtime.json_types import Json

from ..config.tasks import ASSETS
from .encoder_config import EncoderConfig, read_config
from .encoders import ENCODERS
from .known_models import known_models, unread_model
from .random_encoder import PREFIX, random_config

SHIPPED = "shipped:"  # the encoder of a checkpoint that ships: shipped:ocnli
# ErnieConfig's defaults, for what a configuration leaves out.
INTERMEDIATE, POSITIONS, TOKEN_TYPES, TASK_TYPES = 3072, 512, 2, 3
SMALL = 10_000_000  # weights of an encoder without its tables; from there on the published rates hold
RATE, SMALL_RATE = 5e-5, 3e-4


@dataclass(frozen=True, kw_only=True)
class Encoder:
    """The shape of the transformer layers."""

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


@dataclass(frozen=True, kw_only=True)
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


@dataclass(frozen=True, kw_only=True)
class BaseModel:
    """A pre-trained encoder: its shape, and what is published about it."""

    name: str
    encoder: Encoder
    embeddings: Embeddings
    language: str = ""  # zh, en; empty: not known (a local directory)
    size: str = ""  # base, large: rows published for that size are this model's own
    like: tuple[str, ...] = ()  # models or sizes whose figures are used where this one has none, in this order
    figures: Json = field(default_factory=dict)  # published dev figures by preset, in percent

    @property
    def parameters(self) -> int:
        """All weights without a task head."""
        return self.embeddings.parameters(self.encoder.hidden) + self.encoder.parameters()

    @property
    def learning_rate(self) -> float:
        """Of fine-tuning, where nobody states one: with RATE a small encoder learns next to nothing."""
        return SMALL_RATE if self.encoder.parameters() < SMALL else RATE

    @property
    def shape(self) -> str:
        """Layers x hidden x heads."""
        return f"{self.encoder.layers} x {self.encoder.hidden} x {self.encoder.heads}"


def is_download(name: str) -> bool:
    """Whether the name is a model that PaddleNLP downloads (modeling/model.py)."""
    known = name in known_models() or (re.fullmatch(r"ernie[\w.-]*", name) is not None and not unread_model(name))
    return folder_of(name) is None and known


def is_random(name: str) -> bool:
    """Whether the name is `random:...`, an encoder without pre-training."""
    return name.startswith(PREFIX)


def folder_of(name: str) -> Path | None:
    """The directory of a base model; None for one that PaddleNLP downloads, and for `random:...`."""
    if name.startswith(SHIPPED):
        folder = ASSETS / "checkpoints" / name.removeprefix(SHIPPED)
    else:
        folder = ENCODERS.get(name, Path(name))
    return folder if folder.is_dir() else None


def unpublished_model(name: str, folder: Path | None) -> BaseModel:
    """The shape of `random:...`, or of a directory by its configuration; CheckpointError where there is none."""
    return model_of(name, random_config(name).config if folder is None else read_config(folder))


def model_of(name: str, config: EncoderConfig) -> BaseModel:
    """The shape that a configuration describes."""
    encoder = Encoder(
        layers=config.num_hidden_layers,
        hidden=config.hidden_size,
        heads=config.num_attention_heads,
        intermediate=_stated(config.intermediate_size, INTERMEDIATE),
    )
    embeddings = Embeddings(
        vocabulary=config.vocab_size,
        positions=_stated(config.max_position_embeddings, POSITIONS),
        token_types=_stated(config.type_vocab_size, TOKEN_TYPES),
        task_types=_stated(config.task_type_vocab_size, TASK_TYPES) if config.use_task_id else 0,
    )
    return BaseModel(name=name, encoder=encoder, embeddings=embeddings)


def downloadable(name: str) -> BaseModel | None:
    """The shape of a model that PaddleNLP downloads, if known_models.py has it."""
    model = known_models().get(name)
    if model is None:
        return None
    layers, hidden, heads, intermediate = model.shape
    vocabulary, positions, token_types, task_types = model.tables
    return BaseModel(
        name=name,
        encoder=Encoder(layers=layers, hidden=hidden, heads=heads, intermediate=intermediate),
        embeddings=Embeddings(
            vocabulary=vocabulary, positions=positions, token_types=token_types, task_types=task_types
        ),
        language=model.language,
    )


def _stated(value: int | None, default: int) -> int:
    return default if value is None else value


def nearest(model: BaseModel, others: Iterable[BaseModel]) -> BaseModel:
    """The one of `others` whose encoder is closest in size, by the ratio of their numbers of parameters."""
    size = math.log(model.encoder.parameters())
    return min(others, key=lambda other: abs(math.log(other.encoder.parameters()) - size))
