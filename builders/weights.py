"""Weights on disk: reading PaddleNLP and Hugging Face directories, and the compact form that ships.

Inside the builder a checkpoint is a dict of float32 arrays under PaddleNLP's names (`ernie.encoder.layers.0...`),
2-D weights of linear layers stored [in, out] as Paddle has them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from .errors import CheckpointError

Weights = dict[str, np.ndarray]
SCALE = ".scale"  # suffix of the per-row scales beside an 8-bit weight
WEIGHT_FILES = ("model_state.pdparams", "model.safetensors", "encoder.safetensors", "pytorch_model.bin")

# Hugging Face -> PaddleNLP, in this order.
RENAMES = (
    (r"\bembeddings\.LayerNorm\b", "embeddings.layer_norm"),
    (r"\bencoder\.layer\.", "encoder.layers."),
    (r"\battention\.self\.(query|key|value)\b", lambda m: f"self_attn.{m.group(1)[0]}_proj"),
    (r"\battention\.output\.dense\b", "self_attn.out_proj"),
    (r"\battention\.output\.LayerNorm\b", "norm1"),
    (r"\bintermediate\.dense\b", "linear1"),
    (r"(layers\.\d+\.)output\.dense\b", r"\1linear2"),
    (r"(layers\.\d+\.)output\.LayerNorm\b", r"\1norm2"),
)
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}
ENCODER = ("embeddings", "encoder", "pooler")  # modules of ErnieModel; all others are heads, kept by name


@dataclass(frozen=True)
class Checkpoint:
    """A model directory: its configuration, weights and vocabulary."""

    where: str
    config: dict[str, Any]
    weights: Weights
    vocabulary: Path

    @property
    def name(self) -> str:
        """What to call it in a manifest or card: never a path of this machine."""
        return Path(self.where).name

    @property
    def has_head(self) -> bool:
        """Whether a task head is among the weights."""
        return any(not name.startswith("ernie.") for name in self.weights)


def is_hugging_face(names: list[str]) -> bool:
    """Whether the weight names are Hugging Face's."""
    return any("encoder.layer." in name for name in names)


def from_hugging_face(weights: Weights) -> Weights:
    """Hugging Face ERNIE weights under PaddleNLP's names, exactly: 2-D weights outside the embeddings transposed."""
    result = {}
    for name, value in weights.items():
        new = name
        for pattern, replacement in RENAMES:
            new = re.sub(pattern, replacement, new)
        if new.endswith("position_ids"):
            continue
        new = re.sub(r"^(bert|ernie)\.", "", new)
        new = with_ernie(new)
        result[new] = value.T.copy() if value.ndim == 2 and "embeddings" not in new else value
    return result


def with_prefix(weights: Weights) -> Weights:
    """PaddleNLP weights of a bare ErnieModel get the `ernie.` that task models have."""
    return {with_ernie(name): value for name, value in weights.items()}


def with_ernie(name: str) -> str:
    """The name as it is in a task model."""
    return f"ernie.{name}" if name.split(".")[0] in ENCODER else name


def quantize_rows(weights: Weights, smallest: int = 4096) -> Weights:
    """8-bit storage: every float matrix of at least `smallest` values as int8 with a float32 scale a row.

    Symmetric, round to nearest: the error of a value is at most half of its row's largest magnitude / 127.
    """
    stored = {}
    for name, value in weights.items():
        if value.ndim != 2 or value.size < smallest:
            stored[name] = value.astype(np.float32)
            continue
        scale = np.maximum(np.abs(value).max(axis=1), 1e-12).astype(np.float32) / 127
        stored[name] = np.rint(value / scale[:, None]).astype(np.int8)
        stored[name + SCALE] = scale
    return stored


def dequantize_rows(stored: Weights) -> Weights:
    """float32 weights from any mix of float and 8-bit storage; ValueError where scales are missing."""
    lonely = next((name for name, v in stored.items() if v.dtype == np.int8 and name + SCALE not in stored), None)
    if lonely is not None:
        raise ValueError(f"{lonely} is int8 and has no {lonely}{SCALE} beside it")
    return {
        name: value.astype(np.float32) * stored[name + SCALE][:, None]
        if value.dtype == np.int8
        else value.astype(np.float32)
        for name, value in stored.items()
        if not name.endswith(SCALE)
    }


def read_weights(path: Path) -> Weights:
    """Arrays of a .safetensors, .pdparams or .bin file, as stored; CheckpointError where it cannot be read.

    bfloat16 comes as float32: numpy lacks it, and Paddle and PaddleNLP hand it out as its bits, in uint16.
    """
    stored = _read(path)
    return {name: _from_bfloat16(value) if value.dtype == np.uint16 else value for name, value in stored.items()}


def _from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _read(path: Path) -> Weights:
    try:
        if path.suffix == ".safetensors":
            return _read_safetensors(path)
        if path.suffix == ".pdparams":
            from .framework import import_paddle

            state = import_paddle().load(str(path), return_numpy=True)
            return {name: np.asarray(value) for name, value in state.items() if not name.endswith("@@")}
        from .framework import import_paddlenlp

        import_paddlenlp()
        from paddlenlp.utils.serialization import load_torch

        return {name: np.asarray(value) for name, value in load_torch(str(path)).items()}
    except CheckpointError:
        raise
    except Exception as error:  # three readers, each with its own classes for a broken file
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(f"{path}: cannot be read as weights ({reason[0]})") from None


def _read_safetensors(path: Path) -> Weights:
    from safetensors import deserialize  # safe_open knows bfloat16 only where another package has taught it to numpy

    found = {}
    for name, tensor in sorted(deserialize(path.read_bytes()), key=lambda item: item[0]):
        if tensor["dtype"] not in DTYPES:
            raise CheckpointError(f"{path}: {name} is {tensor['dtype']}: save it as float32, float16 or bfloat16")
        found[name] = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    return found


def read_checkpoint(folder: Path) -> Checkpoint:
    """A PaddleNLP or Hugging Face directory, or one this project wrote; CheckpointError says what is missing."""
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: no such directory")
    for name in ("config.json", "model_config.json"):
        if (folder / name).is_file():
            try:
                raw = json.loads((folder / name).read_text(encoding="utf-8"))
            except ValueError as error:
                raise CheckpointError(f"{folder / name}: not JSON ({error})") from None
            config = ernie_config(raw, folder / name)
            break
    else:
        raise CheckpointError(f"{folder}: no config.json (or PaddleNLP's older model_config.json)")
    found = [folder / name for name in WEIGHT_FILES if (folder / name).is_file()]
    if not found:
        raise CheckpointError(f"{folder}: no weights; looked for {', '.join(WEIGHT_FILES)}")
    vocabulary = folder / "vocab.txt"
    if not vocabulary.is_file():
        raise CheckpointError(f"{folder}: no vocab.txt")
    try:
        stored = dequantize_rows(read_weights(found[0]))
    except ValueError as error:
        raise CheckpointError(f"{found[0]}: cannot be read as weights ({error})") from None
    weights = from_hugging_face(stored) if is_hugging_face(list(stored)) else with_prefix(stored)
    if not any(name.startswith("ernie.encoder.layers.") for name in weights):
        raise CheckpointError(f"{found[0]}: not an ERNIE encoder (found {', '.join(list(stored)[:3])}, ...)")
    _check_vocabulary(vocabulary, weights)
    return Checkpoint(str(folder), config, weights, vocabulary)


def _check_vocabulary(vocabulary: Path, weights: Weights) -> None:
    """Every entry has a row of the embeddings; spare rows are fine (ERNIE 3.0: 40,000 for 39,980 entries)."""
    table = weights.get("ernie.embeddings.word_embeddings.weight")
    entries = len(vocabulary.read_bytes().removesuffix(b"\n").split(b"\n"))
    if table is not None and len(table) < entries:
        raise CheckpointError(
            f"{vocabulary}: {entries:,} entries, but the word embeddings have {len(table):,} rows: "
            "not this model's vocabulary"
        )


def ernie_config(raw: Any, where: Path | str) -> dict[str, Any]:
    """The fields of ErnieConfig from any of the configurations there are; PaddleNLP 2.3 nested them in `init_args`."""
    while isinstance(raw, dict) and isinstance(raw.get("init_args"), list) and raw["init_args"]:
        raw = raw["init_args"][0]
    if not isinstance(raw, dict):
        raise CheckpointError(f"{where}: expected a JSON object")
    needed = ("vocab_size", "hidden_size", "num_hidden_layers", "num_attention_heads")
    missing = [name for name in needed if name not in raw]
    if missing:
        raise CheckpointError(f"{where}: has no {', '.join(missing)}")
    wrong = [name for name in needed if not isinstance(raw[name], int) or raw[name] < 1]
    if wrong or raw["hidden_size"] % raw["num_attention_heads"]:
        name = wrong[0] if wrong else "hidden_size"
        raise CheckpointError(
            f"{where}: {name} is {raw[name]!r}, expected a whole number above 0"
            + ("" if wrong else f" that num_attention_heads ({raw['num_attention_heads']}) divides")
        )
    kept = (
        *needed,
        *("intermediate_size", "hidden_act", "max_position_embeddings", "type_vocab_size", "task_type_vocab_size"),
        *("use_task_id", "task_id", "initializer_range", "layer_norm_eps", "pad_token_id", "id2label"),
    )
    return {name: raw[name] for name in kept if name in raw}


def write_checkpoint(folder: Path, config: dict[str, Any], weights: Weights, vocabulary: Path, bits: int = 32) -> None:
    """A directory that `read_checkpoint` (and, at 32 bits, PaddleNLP) reads; bits: 32, 16 or 8."""
    from safetensors.numpy import save

    folder.mkdir(parents=True, exist_ok=True)
    stored = quantize_rows(weights) if bits == 8 else {k: v.astype(f"float{bits}") for k, v in weights.items()}
    # Not save_file: it has its own error for a full disk, which says nothing about the file.
    (folder / "model.safetensors").write_bytes(save({k: np.ascontiguousarray(v) for k, v in stored.items()}))
    (folder / "config.json").write_text(json.dumps(config, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    (folder / "vocab.txt").write_bytes(vocabulary.read_bytes())
