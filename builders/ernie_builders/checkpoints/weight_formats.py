"""Weight files of PaddleNLP and Hugging Face, and the names of weights in both."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ernie_runtime.archives import unpack_xz

from ..errors import CheckpointError
from .ernie_params import DYNAMIC, is_of_ernie_repository, read_variables, variables_folder, with_paddlenlp_names
from .pickled_weights import read_paddle, read_torch
from .quantized import dequantize
from .shards import INDEX, SINGLE, shards_of

Weights = dict[str, np.ndarray]
"""float32 arrays under PaddleNLP's names; 2-D weights of linear layers are [in, out]."""
INDEXES = (INDEX, "model_state.pdparams.index.json", "pytorch_model.bin.index.json")
WEIGHT_FILES = (
    *("model_state.pdparams", SINGLE, INDEXES[0], "encoder.safetensors", INDEXES[1]),
    *("pytorch_model.bin", INDEXES[2], DYNAMIC, f"{SINGLE}.xz", "encoder.safetensors.xz"),
)

# Hugging Face -> PaddleNLP, applied in this order.
TO_PADDLE = (
    (r"\bLayerNorm\.gamma$", "LayerNorm.weight"),  # converted from TensorFlow
    (r"\bLayerNorm\.beta$", "LayerNorm.bias"),
    (r"\bself_attn\.self_attn\.", "self_attn."),  # ERNIE-M
    (r"\bembeddings\.LayerNorm\b", "embeddings.layer_norm"),
    (r"\bencoder\.layer\.", "encoder.layers."),
    (r"\battention\.self\.(query|key|value)\b", lambda m: f"self_attn.{m.group(1)[0]}_proj"),
    (r"\battention\.output\.dense\b", "self_attn.out_proj"),
    (r"\battention\.output\.LayerNorm\b", "norm1"),
    (r"\bintermediate\.dense\b", "linear1"),
    (r"(layers\.\d+\.)output\.dense\b", r"\1linear2"),
    (r"(layers\.\d+\.)output\.LayerNorm\b", r"\1norm2"),
    (r"^qa_outputs\.", "classifier."),
)
QKV = {"q": "query", "k": "key", "v": "value"}
# PaddleNLP -> Hugging Face.
TO_HUGGING_FACE = (
    (r"\bembeddings\.layer_norm\b", "embeddings.LayerNorm"),
    (r"\bencoder\.layers\.", "encoder.layer."),
    (r"\bself_attn\.([qkv])_proj\b", lambda m: f"attention.self.{QKV[m.group(1)]}"),
    (r"\bself_attn\.out_proj\b", "attention.output.dense"),
    (r"\bnorm1\b", "attention.output.LayerNorm"),
    (r"\blinear1\b", "intermediate.dense"),
    (r"\blinear2\b", "output.dense"),
    (r"\bnorm2\b", "output.LayerNorm"),
    (r"^cls\.predictions\.transform\.(weight|bias)$", r"cls.predictions.transform.dense.\1"),
    (r"^cls\.predictions\.layer_norm\b", "cls.predictions.transform.LayerNorm"),
    (r"^cls\.predictions\.decoder_bias$", "cls.predictions.bias"),
)
HEAD = "cls.predictions."
# Names of the pre-training head in Hugging Face's BERT and in RoBERTa -> PaddleNLP's.
HEAD_NAMES = (
    (r"^lm_head\.dense\.", HEAD + "transform."),
    (r"^lm_head\.", HEAD),
    (r"^cls\.predictions\.transform\.dense\.", HEAD + "transform."),
    (r"^cls\.predictions\.transform\.LayerNorm\.", HEAD + "layer_norm."),
    (r"^cls\.predictions\.(decoder\.)?bias$", HEAD + "decoder_bias"),
    (r"^cls\.predictions\.decoder\.weight$", HEAD + "decoder_weight"),
)
DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "I8": "i1", "U8": "u1"}
MODELS = (
    "ernie",
    "bert",
    "roberta",
    "ernie_m",
    "ernie_gram",
    "skep",
    "tinybert",
    "ppminilm",
)  # names of the encoder in a task model
ENCODER = ("embeddings", "encoder", "pooler")  # modules of ErnieModel; all others are heads


def is_hugging_face(names: list[str]) -> bool:
    """Whether these weight names are Hugging Face's."""
    return any("encoder.layer." in name or ".self_attn.self_attn." in name for name in names)


def from_hugging_face(weights: Weights) -> Weights:
    """Weights of Hugging Face's ERNIE under PaddleNLP's names, bit for bit; linear layers are transposed."""
    result = {}
    for name, value in weights.items():
        new = name
        for pattern, replacement in TO_PADDLE:
            new = re.sub(pattern, replacement, new)
        if new.endswith(("embeddings.position_ids", "embeddings.token_type_ids")):
            continue
        new = with_ernie(new)
        result[new] = value.T.copy() if value.ndim == 2 and "embeddings" not in new else value
    return result


def to_hugging_face(weights: Weights) -> Weights:
    """The inverse, bit for bit: weights of the encoder and the pre-training head under Hugging Face's names."""
    result = {}
    for name, value in weights.items():
        new = name
        for pattern, replacement in TO_HUGGING_FACE:
            new = re.sub(pattern, replacement, new)
        result[new] = value.T.copy() if value.ndim == 2 and "embeddings" not in name else value
    return result


def with_prefix(weights: Weights) -> Weights:
    """Weights of a bare ErnieModel under the names of a task model: `ernie.` before each."""
    return {with_ernie(name): value for name, value in weights.items()}


def with_head_names(weights: Weights) -> Weights:
    """The pre-training head under PaddleNLP's names: transform, layer_norm, decoder_bias, decoder_weight."""
    result = {}
    for name, value in weights.items():
        new = name
        for pattern, replacement in HEAD_NAMES:
            new = re.sub(pattern, replacement, new)
        result[new] = value
    return result


def with_ernie(name: str) -> str:
    """The name of a weight in a task model."""
    name = re.sub(rf"^({'|'.join(MODELS)})\.", "", name)
    return f"ernie.{name}" if name.split(".")[0] in ENCODER else name


def read_weights(path: Path) -> Weights:
    """Arrays of a .safetensors (or .safetensors.xz), .pdparams or .bin file, or of an index's; CheckpointError.

    bfloat16, which numpy lacks and which Paddle and PaddleNLP return as uint16, becomes float32, as do 8 and 4 bits.
    """
    stored = _read(path)
    stored = {name: _from_bfloat16(value) if value.dtype == np.uint16 else value for name, value in stored.items()}
    return dequantize(stored, path)


def _from_bfloat16(bits: np.ndarray) -> np.ndarray:
    return (bits.astype(np.uint32) << 16).view(np.float32)


def _read(path: Path) -> Weights:
    try:
        if path.name in INDEXES:
            return _read_shards(path)
        if path.suffix == ".safetensors":
            return _read_safetensors(path, path.read_bytes())
        if path.name.endswith(".safetensors.xz"):
            return _read_safetensors(path, unpack_xz(path))
        if path.suffix == ".pdparams":
            state = read_paddle(path)
            return {name: np.asarray(value) for name, value in state.items() if not name.endswith("@@")}
        return read_torch(path)
    except CheckpointError:
        raise
    except Exception as error:  # each of the three readers raises classes of its own for a broken file
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise CheckpointError(f"{path}: cannot be read as weights ({reason[0]})") from None


def _read_shards(index: Path) -> Weights:
    weights: Weights = {}
    for path, names in shards_of(index).items():
        shard = _read(path)
        if missing := [name for name in names if name not in shard]:
            raise CheckpointError(f"{path}: has no {missing[0]}, which {index.name} says: copy the checkpoint again")
        weights |= shard
    return weights


def _read_safetensors(path: Path, content: bytes) -> Weights:
    from safetensors import deserialize  # safe_open reads bfloat16 only where another package has added it to numpy

    weights = {}
    for name, tensor in sorted(deserialize(content), key=lambda item: item[0]):
        if tensor["dtype"] not in DTYPES:
            raise CheckpointError(f"{path}: {name} is {tensor['dtype']}: save it as float32, float16 or bfloat16")
        weights[name] = np.frombuffer(tensor["data"], DTYPES[tensor["dtype"]]).reshape(tensor["shape"])
    return weights


def fingerprint(weights: Mapping[str, np.ndarray]) -> str:
    """SHA-256 of names, shapes and values (as float32), whatever file they came from."""
    digest = hashlib.sha256()
    for name, value in sorted(weights.items()):
        digest.update(f"{name} {list(value.shape)}\n".encode())
        digest.update(np.ascontiguousarray(value, "<f4").data)
    return digest.hexdigest()


def stored_bytes(folder: Path) -> int:
    """How large the weight files of a directory are, 0 where it has none; CheckpointError where a shard is missing."""
    path = _stored_file(folder)
    if path is not None:
        return sum(file.stat().st_size for file in (shards_of(path) if path.name in INDEXES else [path]))
    variables = variables_folder(folder)
    return sum(file.stat().st_size for file in variables.iterdir()) if variables else 0


def _stored_file(folder: Path) -> Path | None:
    return next((folder / name for name in WEIGHT_FILES if (folder / name).is_file()), None)


def read_stored(folder: Path) -> tuple[Path, Weights]:
    """The weight file of a directory, or its folder of variables, and its weights as float32 under its own names.

    CheckpointError.
    """
    path = _stored_file(folder)
    if path is None and (variables := variables_folder(folder)) is not None:
        return variables, {name: value.astype(np.float32) for name, value in read_variables(variables).items()}
    if path is None and (shard := next(folder.glob("*-00001-of-*"), None)) is not None:
        raise CheckpointError(f"{shard}: one of several files, whose index (*.index.json) is not there: copy it, too")
    if path is None:
        raise CheckpointError(f"{folder}: no weights; looked for {', '.join(WEIGHT_FILES)}")
    return path, {name: value.astype(np.float32) for name, value in read_weights(path).items()}


def with_paddle_names(stored: Weights) -> Weights:
    """Weights as files have them, Hugging Face's or PaddleNLP's, under PaddleNLP's names."""
    if is_of_ernie_repository(list(stored)):
        return with_paddlenlp_names(stored)
    return with_head_names(from_hugging_face(stored) if is_hugging_face(list(stored)) else with_prefix(stored))
