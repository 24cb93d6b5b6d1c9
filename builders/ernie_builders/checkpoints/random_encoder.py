"""Encoders of a given shape without any pre-training: `random:LAYERSxHIDDENxHEADS[:VOCABULARY]`.

They exercise the whole path from text to answers in a language or with a vocabulary that has no pre-trained weights,
and show what pre-training is worth. Weights are drawn as PaddleNLP initializes ERNIE (`initializer_range` 0.02), but by
numpy's PCG64, so that a seed gives the same weights on every machine.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..config.tasks import ASSETS
from ..errors import CheckpointError
from .checkpoint import Checkpoint
from .checksums import check_shipped
from .encoder_config import EncoderConfig
from .weight_formats import Weights

PREFIX = "random:"
VOCABULARIES = ASSETS / "vocab"
INITIALIZER_RANGE = 0.02
POSITIONS, TOKEN_TYPES = 512, 4  # as ERNIE 1.0 and 2.0 have them


@dataclass(frozen=True, kw_only=True)
class RandomConfig:
    """What a name `random:...` says."""

    shown: str  # the name, without a path of this machine
    config: EncoderConfig
    tokenizer: Tokenizer


def random_encoder(name: str, seed: int = 0) -> Checkpoint:
    """The encoder called `name`, with feed-forward layers 4 x HIDDEN wide and no pooler; CheckpointError."""
    random = random_config(name)
    weights = random_weights(random.config, seed)
    return Checkpoint(where=random.shown, config=random.config, weights=weights, tokenizer=random.tokenizer)


def random_config(name: str) -> RandomConfig:
    """The shape and the vocabulary alone, no weights; CheckpointError.

    VOCABULARY is a file, or the name of one that ships (`ernie_2.0_en`); the default is the embedded encoder's.
    """
    match = re.fullmatch(r"random:(\d+)x(\d+)x(\d+)(?::(.+))?", name)
    if not match:
        raise CheckpointError(
            f"--base-model {name}: expected random:LAYERSxHIDDENxHEADS, and :VOCABULARY if it is another than the "
            "embedded encoder's, such as random:2x128x2:ernie_2.0_en"
        )
    layers, hidden, heads = (int(number) for number in match.group(1, 2, 3))
    if not (layers and hidden and heads) or hidden % heads:
        raise CheckpointError(f"--base-model {name}: LAYERS must be above 0, and HIDDEN a multiple of HEADS")
    vocabulary = find_vocabulary(match[4] or "", name)
    tokenizer = load_tokenizer(vocabulary)
    config = EncoderConfig(
        vocab_size=tokenizer.vocab_size,
        hidden_size=hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        intermediate_size=4 * hidden,
        hidden_act="gelu",
        max_position_embeddings=POSITIONS,
        type_vocab_size=TOKEN_TYPES,
        use_task_id=False,
        initializer_range=INITIALIZER_RANGE,
        layer_norm_eps=1e-12,
        pad_token_id=0,
    )
    shown = f"{PREFIX}{layers}x{hidden}x{heads}" + (f":{vocabulary.stem}" if match[4] else "")
    return RandomConfig(shown=shown, config=config, tokenizer=tokenizer)


def find_vocabulary(vocabulary: str, base_model: str) -> Path:
    """A file, one that ships by its name, or the embedded encoder's where `vocabulary` is empty.

    CheckpointError, naming the base model, where there is no such file.
    """
    if not vocabulary:
        return ASSETS / "encoder" / "vocab.txt"
    for path in (VOCABULARIES / f"{vocabulary}.txt", Path(vocabulary)):
        if path.is_file():
            check_shipped(path)
            return path
    shipped = ", ".join(sorted(path.stem for path in VOCABULARIES.glob("*.txt")))
    raise CheckpointError(
        f"--base-model {base_model}: {vocabulary} is no vocabulary file, and none that ships ({shipped})"
    )


def random_weights(config: EncoderConfig, seed: int) -> Weights:
    """All weights of an ErnieModel except the pooler's: float32, under PaddleNLP's names.

    Matrices and tables are normal around 0; biases 0; layer norms 1 and 0. CheckpointError where the configuration
    leaves out a size that they need.
    """
    generator = np.random.default_rng(seed)
    hidden, inner, deviation = config.hidden_size, config.intermediate_size, config.initializer_range
    positions, token_types = config.max_position_embeddings, config.type_vocab_size
    if inner is None or deviation is None or positions is None or token_types is None:
        raise CheckpointError("random weights need intermediate_size, initializer_range and the sizes of all tables")
    weights: Weights = {}

    def draw(name: str, *shape: int) -> None:
        values = generator.standard_normal(shape, np.float32)
        weights[f"ernie.{name}.weight"] = values * np.float32(deviation)

    def linear(name: str, inputs: int, outputs: int) -> None:
        draw(name, inputs, outputs)
        weights[f"ernie.{name}.bias"] = np.zeros(outputs, np.float32)

    def norm(name: str) -> None:
        weights[f"ernie.{name}.weight"] = np.ones(hidden, np.float32)
        weights[f"ernie.{name}.bias"] = np.zeros(hidden, np.float32)

    draw("embeddings.word_embeddings", config.vocab_size, hidden)
    draw("embeddings.position_embeddings", positions, hidden)
    draw("embeddings.token_type_embeddings", token_types, hidden)
    norm("embeddings.layer_norm")
    for layer in range(config.num_hidden_layers):
        prefix = f"encoder.layers.{layer}"
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            linear(f"{prefix}.self_attn.{projection}", hidden, hidden)
        linear(f"{prefix}.linear1", hidden, inner)
        linear(f"{prefix}.linear2", inner, hidden)
        norm(f"{prefix}.norm1")
        norm(f"{prefix}.norm2")
    return weights
