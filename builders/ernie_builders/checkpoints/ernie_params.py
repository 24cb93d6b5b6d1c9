"""Checkpoints as the ERNIE repository wrote them before PaddleNLP: ernie_config.json, vocab.txt, and the weights.

Weights are a file per variable in params/ (or beside the configuration), as Paddle's `save` operator writes it, or
saved_weights.pdparams with the names of that repository's dynamic graph.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from ernie_runtime.json_types import Json, JsonObject

from ..errors import CheckpointError

CONFIG = "ernie_config.json"
FOLDER = "params"
DYNAMIC = "saved_weights.pdparams"
LAYER_NORM_EPS = 1e-5  # Paddle's default, which that repository did not change; PaddleNLP's ERNIE has 1e-12
FIRST = "word_embedding"  # a variable that every such checkpoint has
# Of optimizers and counters, no weights of the model.
TRAINING = re.compile(
    r"@.*|.*(_moment[12]|_pow_acc|\.master|_velocity)(_\d+)?|.*num_.*_steps.*|(scheduled_)?learning_rate.*"
    r"|loss_scaling.*|reduce_.*"
)
DTYPES = {4: "<f2", 5: "<f4", 6: "<f8"}  # of VarType in Paddle's framework.proto
# Names -> PaddleNLP's, applied in this order.
NAMES = (
    (r"\.w_0$|(?<=_out)_w$", ".weight"),
    (r"\.b_0$|(?<=_out)_b$", ".bias"),
    (r"_layer_norm_(scale|bias)$", lambda m: f"_layer_norm.{'weight' if m[1] == 'scale' else 'bias'}"),
    (r"^word_embedding$|^word_emb\.weight$", "ernie.embeddings.word_embeddings.weight"),
    (r"^pos_embedding$|^pos_emb\.weight$", "ernie.embeddings.position_embeddings.weight"),
    (r"^sent_embedding$|^sent_emb\.weight$", "ernie.embeddings.token_type_embeddings.weight"),
    (r"^task_embedding$|^task_emb\.weight$", "ernie.embeddings.task_type_embeddings.weight"),
    (r"^(pre_encoder_layer_norm|ln)\.", "ernie.embeddings.layer_norm."),
    (r"^(encoder_layer_|encoder_stack\.block\.)(\d+)[_.]", r"ernie.encoder.layers.\2."),
    (r"\.multi_head_att_(query|key|value)_fc\.", lambda m: f".self_attn.{m[1][0]}_proj."),
    (r"\.attn\.([qkv])\.", r".self_attn.\1_proj."),
    (r"\.(multi_head_att_output_fc|attn\.o)\.", ".self_attn.out_proj."),
    (r"\.(post_att_layer_norm|ln1)\.", ".norm1."),
    (r"\.(ffn_fc_0|ffn\.i)\.", ".linear1."),
    (r"\.(ffn_fc_1|ffn\.o)\.", ".linear2."),
    (r"\.(post_ffn_layer_norm|ln2)\.", ".norm2."),
    (r"^(pooled_fc|pooler)\.", "ernie.pooler.dense."),
    (r"^cls_(seq_label_|squad_)?out\.", "classifier."),
    (r"^(mask_lm_trans_fc|mlm)\.", "cls.predictions.transform."),
    (r"^(mask_lm_trans_layer_norm|mlm_ln)\.", "cls.predictions.layer_norm."),
    (r"^(mask_lm_out_fc\.bias|mlm_bias)$", "cls.predictions.decoder_bias"),
    (r"^mask_lm_out_fc\.weight$", "cls.predictions.decoder_weight"),
)
HEADS = {
    "cls_out_w": "ErnieForSequenceClassification",
    "cls_seq_label_out_w": "ErnieForTokenClassification",
    "cls_squad_out_w": "ErnieForQuestionAnswering",
}


def variables_folder(folder: Path) -> Path | None:
    """Where the files of the variables are, if the directory is of this form."""
    return next((path for path in (folder / FOLDER, folder) if (path / FIRST).is_file()), None)


def as_paddlenlp(raw: Json, folder: Path) -> JsonObject:
    """ernie_config.json under PaddleNLP's names; the class of the model comes from the head among the variables."""
    changed: JsonObject = {"model_type": "ernie", "layer_norm_eps": LAYER_NORM_EPS, **raw}
    if (types := changed.pop("sent_type_vocab_size", None)) is not None:
        changed["type_vocab_size"] = types
    if (width := changed.pop("emb_size", None)) is not None:
        changed["embedding_size"] = width
    hidden = changed.get("hidden_size")
    if changed.get("intermediate_size") is None and isinstance(hidden, int):
        changed["intermediate_size"] = 4 * hidden
    variables = variables_folder(folder)
    classes = [name for head, name in HEADS.items() if variables is not None and (variables / head).is_file()]
    return {"architectures": classes, **changed} if classes else changed


def read_variables(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of the variables in a folder by the names of their files, without those of training alone."""
    files = [path for path in sorted(folder.iterdir()) if path.is_file() and not TRAINING.fullmatch(path.name)]
    return {path.name: array for path in files if (array := _read_variable(path)) is not None}


def with_paddlenlp_names(stored: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Weights under the ERNIE repository's names as PaddleNLP calls them; both have matrices [in, out]."""
    result = {}
    for name, value in stored.items():
        new = name
        for pattern, replacement in NAMES:
            new = re.sub(pattern, replacement, new)
        result[new] = value
    return result


def is_of_ernie_repository(names: list[str]) -> bool:
    """Whether these are names of weights of that repository."""
    return FIRST in names or "word_emb.weight" in names


def _read_variable(path: Path) -> np.ndarray | None:
    """The array that the `save` operator wrote; None for a file of another kind (a vocabulary, a configuration)."""
    content = path.read_bytes()
    try:
        version, levels = struct.unpack_from("<IQ", content)
        if version or path.suffix in (".json", ".txt"):
            return None
        at = 12
        for _ in range(levels):
            (size,) = struct.unpack_from("<Q", content, at)
            at += 8 + size
        version, size = struct.unpack_from("<Ii", content, at)
        at += 8
        dtype, shape = _described(content[at : at + size])
        values = np.frombuffer(content, DTYPES[dtype], math.prod(shape), at + size)
    except (struct.error, ValueError, IndexError) as error:
        raise CheckpointError(f"{path}: not a variable that Paddle saved ({error})") from None
    except KeyError as error:
        raise CheckpointError(f"{path}: its type is {error}; float32, float16 and float64 are read") from None
    if at + size + values.nbytes != len(content):
        raise CheckpointError(f"{path}: has bytes after its {values.size} values: not a variable that Paddle saved")
    return values.reshape(shape)


def _described(message: bytes) -> tuple[int, list[int]]:
    """Type and shape of a TensorDesc: field 1 is the type, field 2 the dimensions, as varints."""
    dtype, shape = 0, []
    for field, value in _fields(message):
        if field == 1:
            dtype = value
        elif field == 2:
            shape.append(value)
    return dtype, shape


def _fields(message: bytes) -> Iterator[tuple[int, int]]:
    """(number, value) of each field of a protobuf message, packed or not."""
    at = 0

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = varint()
        end = at + varint() if key & 7 == 2 else None
        if end is None:
            yield key >> 3, varint()
        else:
            while at < end:
                yield key >> 3, varint()
