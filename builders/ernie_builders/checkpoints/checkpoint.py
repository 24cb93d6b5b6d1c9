"""Model directories: reading PaddleNLP's and Hugging Face's, reading and writing this project's own.

In memory, weights are float32 arrays under PaddleNLP's names (`ernie.encoder.layers.0...`); those of linear layers are
[in, out], as in Paddle.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np

from ernie_runtime.json_types import Json
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..config.tasks import ASSETS
from ..errors import CheckpointError
from ..filesystem import sha256_of, write_json
from .adapter import ARRAYS as ADAPTER_ARRAYS
from .adapter import CONFIG as ADAPTER
from .adapter import BaseEncoder, adapted, adapter_of, read_base, write_adapter_files
from .architectures import TOKEN_TYPES, WORDS, architecture_of, check_prefix
from .checksums import check_shipped
from .delta import decode
from .delta_files import HEADER, PACKED, read_delta, read_header
from .encoder_config import EncoderConfig, read_config, stored_config
from .encoders import ENCODERS
from .quantized import quantize
from .shards import LIMIT, write_shards
from .tokenizer_files import (
    VOCABULARY,
    StoredTokenizer,
    read_tokenizer,
    tokenizer_file,
    with_pad_first,
    write_tokenizer,
)
from .weight_formats import Weights, fingerprint, read_stored, with_paddle_names

BASES: dict[str, Path] = dict(ENCODERS)  # a checkpoint may be stored as what training changed in one


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model directory: its configuration, weights and tokenizer."""

    where: str  # the directory, or the name of a base model
    config: EncoderConfig
    weights: Weights
    tokenizer: Tokenizer

    @property
    def name(self) -> str:
        """Its name in manifests and cards, never a path of this machine."""
        return Path(self.where).name

    @property
    def has_head(self) -> bool:
        """Whether there are other weights than the encoder's."""
        return any(not name.startswith("ernie.") for name in self.weights)


def read_checkpoint(folder: Path) -> Checkpoint:
    """A PaddleNLP or Hugging Face directory, or one that this project wrote; CheckpointError says what is missing.

    Where the weights are not needed, `read_config` and `tokenizer_of` are faster.
    """
    if folder.is_dir():
        check_shipped(folder)
    if (folder / ADAPTER).is_file():
        return _read_adapter(folder)
    config, weights, stored = read_config(folder), _read_weights(folder), stored_tokenizer(folder)
    _check_vocabulary(folder, stored, weights)
    weights = with_pad_first(weights, stored.pad_id)
    return Checkpoint(where=str(folder), config=config, weights=weights, tokenizer=stored.tokenizer)


def _read_adapter(folder: Path) -> Checkpoint:
    base = read_base(folder)
    encoder, weights = find_base(base.name, base.sha256, folder)
    tokenizer = tokenizer_of(folder if tokenizer_file(folder) else encoder)
    if tokenizer.fingerprint != base.vocabulary:
        raise CheckpointError(
            f"{folder}: belongs to a vocabulary {base.vocabulary[:12]}, but {encoder} has another: put that file back"
        )
    return Checkpoint(
        where=str(folder), config=read_config(folder), weights=adapted(folder, weights), tokenizer=tokenizer
    )


def find_base(name: str, sha256: str, folder: Path) -> tuple[Path, Weights]:
    """The encoder that ships with this fingerprint, whatever it is called by now; CheckpointError.

    name: what it was called when the checkpoint in `folder` was stored.
    """
    whole = [other for other, path in BASES.items() if other != name and not (path / HEADER).is_file()]
    for encoder in (BASES[other] for other in (name, *whole) if other in BASES):
        if encoder.is_dir():
            check_shipped(encoder)
            weights, its_fingerprint = _shipped(encoder)
            if its_fingerprint == sha256:
                return encoder, dict(weights)
    raise CheckpointError(
        f"{folder}: holds what training changed in the encoder {name} {sha256[:12]}, which is none of those that ship "
        f"({', '.join(BASES)}): put that encoder back, or train again"
    )


def _shipped(encoder: Path) -> tuple[Mapping[str, np.ndarray], str]:
    """Weights and fingerprint of an encoder of BASES."""
    files = [(path, path.stat()) for path in sorted(encoder.glob("*"))]  # none: an error below says so
    return _unpacked(encoder, *((path.name, stat.st_size, stat.st_mtime_ns) for path, stat in files))


@lru_cache(maxsize=1)
def _unpacked(encoder: Path, *_state: tuple[str, int, int]) -> tuple[Mapping[str, np.ndarray], str]:
    """Kept, as unpacking takes a second and a build reads its encoder many times; so nobody may change the arrays."""
    weights = _read_files(encoder)
    for value in weights.values():
        value.flags.writeable = False
    return weights, fingerprint(weights)


def _read_weights(folder: Path) -> Weights:
    return dict(_shipped(folder)[0]) if folder in BASES.values() else _read_files(folder)


def _read_files(folder: Path) -> Weights:
    if (folder / HEADER).is_file():
        source, weights = folder / PACKED, _read_delta(folder)
    else:
        source, stored = read_stored(folder)
        raw, path = stored_config(folder)
        architecture = architecture_of(raw, path)
        check_prefix(architecture, list(stored), source)
        weights = architecture.ernie_weights(with_paddle_names(stored), raw, path)
    if not any(name.startswith("ernie.encoder.layers.") for name in weights):
        raise CheckpointError(f"{source}: not an ERNIE encoder (found {', '.join(list(weights)[:3])}, ...)")
    return weights


def tokenizer_of(folder: Path) -> Tokenizer:
    """The tokenizer of a model directory, as `read_checkpoint` gives it; CheckpointError."""
    return stored_tokenizer(folder).tokenizer


def stored_tokenizer(folder: Path) -> StoredTokenizer:
    """The tokenizer of a model directory: its own files', or that of a vocabulary that the compact form names."""
    if (folder / ADAPTER).is_file() and tokenizer_file(folder) is None:
        base = read_base(folder)
        return stored_tokenizer(find_base(base.name, base.sha256, folder)[0])
    reference = read_header(folder).vocabulary if (folder / HEADER).is_file() else None
    if reference is None:
        return read_tokenizer(folder)
    path = next((path for path in _shipped_vocabularies().values() if sha256_of(path) == reference.sha256), None)
    if path is None:
        raise CheckpointError(
            f"{folder}: needs the vocabulary {reference.name} {reference.sha256[:12]}, which is none of those that "
            "ship: put that file back"
        )
    return StoredTokenizer(tokenizer=load_tokenizer(path))


def _read_delta(folder: Path) -> Weights:
    """Weights of the compact form, which may be a difference from an encoder that ships."""
    delta = read_delta(folder)
    base = find_base(delta.base.name, delta.base.sha256, folder)[1] if delta.base else None
    return decode(delta, base, folder / PACKED)


def _shipped_vocabularies() -> dict[str, Path]:
    """By the name of the encoder that has it, or by the name of the file where it ships without an encoder."""
    standalone = {path.stem: path for path in sorted((ASSETS / "vocab").glob("*.txt"))}
    return standalone | {name: path for name, folder in BASES.items() if (path := folder / VOCABULARY).is_file()}


def _check_vocabulary(folder: Path, stored: StoredTokenizer, weights: Weights) -> None:
    """CheckpointError for a token or token type without a row in the embeddings, or another pad token than the model's.

    Spare rows are allowed, as ERNIE 3.0 has them.
    """
    tokenizer, path = stored.tokenizer, tokenizer_file(folder) or folder
    words, types = weights.get(WORDS), weights.get(TOKEN_TYPES)
    if words is not None and len(words) < tokenizer.vocab_size:
        raise CheckpointError(
            f"{path}: {tokenizer.vocab_size:,} entries, but the word embeddings have {len(words):,} rows: not this "
            "model's vocabulary"
        )
    if types is not None and len(types) <= tokenizer.pair.second_type:
        raise CheckpointError(
            f"{path}: gives the second text of a pair token type {tokenizer.pair.second_type}, the model has "
            f"{len(types)}"
        )
    if (folder / HEADER).is_file():
        return
    raw, config = stored_config(folder)
    if architecture_of(raw, config).counts_from_pad and raw.get("pad_token_id") != stored.pad_id:
        raise CheckpointError(
            f"{config}: pad_token_id is {raw.get('pad_token_id')}, from which positions are counted, but the "
            f"tokenizer's pad token has id {stored.pad_id}"
        )


def write_checkpoint(
    folder: Path, config: EncoderConfig | Json, weights: Weights, tokenizer: Tokenizer, bits: int = 32
) -> None:
    """A directory that `read_checkpoint` (and, at 32 bits, PaddleNLP) reads; bits of a weight: 32, 16, 8 or 4.

    In 8 and 4 bits (quantized.py) no file is larger than shards.LIMIT. config: a mapping is written as it is. Files of
    other forms are removed from the folder.
    """
    folder.mkdir(parents=True, exist_ok=True)
    arrays = quantize(weights, bits) if bits <= 8 else {n: value.astype(f"float{bits}") for n, value in weights.items()}
    for name in (HEADER, PACKED, ADAPTER, ADAPTER_ARRAYS):
        (folder / name).unlink(missing_ok=True)
    write_shards(folder, arrays, LIMIT if bits <= 8 else None)
    _write_config(folder, config)
    write_tokenizer(folder, tokenizer)


def write_adapter(
    folder: Path,
    config: EncoderConfig | Json,
    weights: Weights,
    tokenizer: Tokenizer,
    base: str,
) -> None:
    """What training changed in the encoder `base` of BASES (adapter.py), which only `read_checkpoint` reads.

    A tokenizer other than the encoder's is written too. CheckpointError for weights that LoRA cannot have made.
    """
    encoder = _read_weights(BASES[base])
    stored = adapter_of(weights, encoder)
    about = BaseEncoder(name=base, sha256=fingerprint(encoder), vocabulary=tokenizer.fingerprint)
    folder.mkdir(parents=True, exist_ok=True)
    write_adapter_files(folder, stored, about)
    _write_config(folder, config)
    if tokenizer.fingerprint != tokenizer_of(BASES[base]).fingerprint:
        write_tokenizer(folder, tokenizer)


def write_options(folder: Path, options: Json) -> None:
    """Store what training learnt besides weights with a checkpoint that this project wrote."""
    _write_config(folder, replace(read_config(folder), task_options=options))


def _write_config(folder: Path, config: EncoderConfig | Json) -> None:
    write_json(folder / "config.json", config.to_json() if isinstance(config, EncoderConfig) else dict(config))
