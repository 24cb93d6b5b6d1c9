"""A tiny XLM-R: its tokenizer.json (<s> 0, <pad> 1, </s> 2, <unk> 3, pieces, <mask> last), configuration, weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from ..ernie_runtime.sentencepiece_samples import trained
from .tiny import HEADS, HIDDEN, INNER, LAYERS, Weights, random_hugging_face

FIRST = ("<s>", "<pad>", "</s>", "<unk>")
MASK = "<mask>"
PAD_ID = 1
SHAPE: dict[str, Any] = {
    "hidden_size": HIDDEN,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": HEADS,
    "intermediate_size": INNER,
    "hidden_act": "gelu",
    "max_position_embeddings": 40,
    "type_vocab_size": 2,
}
XLM_R = {**SHAPE, "model_type": "xlm-roberta", "pad_token_id": PAD_ID, "type_vocab_size": 1, "layer_norm_eps": 1e-5}


def xlm_r_tokenizer() -> dict[str, Any]:
    """JSON data of the file, as Hugging Face writes it."""
    document: dict[str, Any] = json.loads(trained().to_str())
    special = {*FIRST, MASK}
    pieces = [entry for entry in document["model"]["vocab"] if entry[0] not in special]
    vocab = [*([name, 0.0] for name in FIRST), *pieces, [MASK, 0.0]]
    ids = {piece: id for id, (piece, _) in enumerate(vocab)}
    document["model"] |= {"vocab": vocab, "unk_id": FIRST.index("<unk>")}
    document["added_tokens"] = [
        {
            "id": ids[name],
            "content": name,
            "single_word": False,
            "lstrip": name == MASK,
            "rstrip": False,
            "normalized": False,
            "special": True,
        }
        for name in (*FIRST, MASK)
    ]
    document["post_processor"] = {
        "type": "RobertaProcessing",
        "sep": ["</s>", ids["</s>"]],
        "cls": ["<s>", ids["<s>"]],
        "trim_offsets": True,
        "add_prefix_space": True,
    }
    return document


def write_xlm_r_tokenizer(folder: Path) -> int:
    """Write tokenizer.json; the number of entries."""
    folder.mkdir(parents=True, exist_ok=True)
    document = xlm_r_tokenizer()
    (folder / "tokenizer.json").write_text(json.dumps(document), encoding="utf-8")
    return len(document["model"]["vocab"])


def write_xlm_r(folder: Path, seed: int = 0, std: float = 0.3, **changes: Any) -> Weights:
    """A directory of XLM-R's layout without its weights, which are returned under bare names, with small embeddings."""
    config = {**XLM_R, "vocab_size": write_xlm_r_tokenizer(folder), **changes}
    weights = random_hugging_face(seed, std, {**config, "use_task_id": False})
    for name in weights:
        if "embeddings.weight" in name:
            weights[name] *= np.float32(0.01)  # so small that epsilon counts
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    return weights
