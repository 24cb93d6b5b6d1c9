"""Checkpoints of the ERNIE repository: variables as Paddle's own `save` writes them, and their configuration."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.weight_formats import from_hugging_face
from ernie_builders.errors import CheckpointError
from ernie_builders.framework import import_paddle
from ernie_builders.start.checkpoints import describe

from ..tiny import CONFIG, HIDDEN, LAYERS, Weights, random_hugging_face

OF_A_LAYER = {  # of the static graph, of the dynamic graph: PaddleNLP's
    ("multi_head_att_query_fc", "attn.q"): "self_attn.q_proj",
    ("multi_head_att_key_fc", "attn.k"): "self_attn.k_proj",
    ("multi_head_att_value_fc", "attn.v"): "self_attn.v_proj",
    ("multi_head_att_output_fc", "attn.o"): "self_attn.out_proj",
    ("post_att_layer_norm", "ln1"): "norm1",
    ("ffn_fc_0", "ffn.i"): "linear1",
    ("ffn_fc_1", "ffn.o"): "linear2",
    ("post_ffn_layer_norm", "ln2"): "norm2",
}
TABLES = {
    ("word_embedding", "word_emb"): "word_embeddings",
    ("pos_embedding", "pos_emb"): "position_embeddings",
    ("sent_embedding", "sent_emb"): "token_type_embeddings",
    ("task_embedding", "task_emb"): "task_type_embeddings",
}


def old_names(head: str = "cls_out") -> dict[str, tuple[str, str]]:
    """PaddleNLP's name -> (of the static graph, of the dynamic graph), written out by hand."""
    names = {}
    for (static, dynamic), new in TABLES.items():
        names[f"ernie.embeddings.{new}.weight"] = (static, f"{dynamic}.weight")
    pairs = {
        "ernie.embeddings.layer_norm": ("pre_encoder_layer_norm", "ln"),
        "ernie.pooler.dense": ("pooled_fc", "pooler"),
    }
    for layer in range(LAYERS):
        for (static, dynamic), new in OF_A_LAYER.items():
            old = f"encoder_layer_{layer}_{static}", f"encoder_stack.block.{layer}.{dynamic}"
            pairs[f"ernie.encoder.layers.{layer}.{new}"] = old
    for new, (static, dynamic) in pairs.items():
        weight, bias = ("_scale", "_bias") if static.endswith("layer_norm") else (".w_0", ".b_0")
        names[f"{new}.weight"] = (static + weight, f"{dynamic}.weight")
        names[f"{new}.bias"] = (static + bias, f"{dynamic}.bias")
    return names | {f"classifier.{part}": (f"{head}_{part[0]}", f"classifier.{part}") for part in ("weight", "bias")}


def weights() -> Weights:
    generator = np.random.default_rng(7)
    head = {"classifier.weight": (HIDDEN, 3), "classifier.bias": (3,)}
    return from_hugging_face(random_hugging_face()) | {
        name: generator.normal(size=shape).astype("f4") for name, shape in head.items()
    }


@pytest.fixture
def old(tmp_path: Path, vocabulary: Path) -> Callable[..., Path]:
    """Writes such a directory; `place` "": the variables lie beside the configuration."""

    def write(place: str = "params", head: str = "cls_out", dtype: str = "f4") -> Path:
        paddle = import_paddle("cpu")
        paddle.enable_static()
        try:
            for name, value in {**weights(), "fc.w_0_moment1_0": np.ones(3, "f4")}.items():
                file = tmp_path / place / old_names(head).get(name, (name, ""))[0]
                tensor = paddle.base.core.DenseTensor()
                tensor.set(value.astype(dtype), paddle.CPUPlace())
                paddle.save(tensor, str(file), use_binary_format=True)
        finally:
            paddle.disable_static()
        configured(tmp_path, vocabulary)
        return tmp_path

    return write


def configured(folder: Path, vocabulary: Path) -> None:
    """The repository's configuration, and its vocabulary with ids."""
    config = {
        key: value for key, value in CONFIG.items() if key not in ("model_type", "layer_norm_eps", "pad_token_id")
    }
    config["sent_type_vocab_size"] = config.pop("type_vocab_size")
    (folder / "ernie_config.json").write_text(json.dumps(config), encoding="utf-8")
    tokens = vocabulary.read_text(encoding="utf-8").splitlines()
    (folder / "vocab.txt").write_text("".join(f"{token}\t{id}\n" for id, token in enumerate(tokens)), encoding="utf-8")


@pytest.mark.parametrize(("place", "dtype"), [("params", "f4"), ("", "f4"), ("params", "f2")])
def test_variables_of_the_static_graph(old: Callable[..., Path], vocabulary: Path, place: str, dtype: str) -> None:
    checkpoint = read_checkpoint(old(place, dtype=dtype))
    assert checkpoint.weights.keys() == weights().keys(), "what training alone needs is left out"
    for name, value in weights().items():
        np.testing.assert_array_equal(checkpoint.weights[name], value.astype(dtype).astype("f4"))
    assert checkpoint.config.layer_norm_eps == 1e-5 and checkpoint.config.type_vocab_size == CONFIG["type_vocab_size"]
    assert [checkpoint.tokenizer.token(id) for id in range(3)] == vocabulary.read_text(encoding="utf-8").split()[:3]


def test_weights_of_the_dynamic_graph(tmp_path: Path, vocabulary: Path) -> None:
    paddle = import_paddle("cpu")
    state = {old_names()[name][1]: paddle.to_tensor(value) for name, value in weights().items()}
    paddle.save(state, str(tmp_path / "saved_weights.pdparams"))
    configured(tmp_path, vocabulary)
    checkpoint = read_checkpoint(tmp_path)
    assert checkpoint.weights.keys() == weights().keys()
    for name, value in weights().items():
        np.testing.assert_array_equal(checkpoint.weights[name], value)


@pytest.mark.parametrize(
    ("head", "kind"),
    [
        ("cls_out", "sequence_classification"),
        ("cls_seq_label_out", "token_classification"),
        ("cls_squad_out", "question_answering"),
    ],
)
def test_the_head_says_what_the_model_is_for(old: Callable[..., Path], tmp_path: Path, head: str, kind: str) -> None:
    folder = old(head=head)
    (folder / "label.txt").write_text("O\nB-A\nI-A\n", encoding="utf-8")
    assert describe(folder, "", None).kind == kind


def test_what_cannot_be_read_is_refused(old: Callable[..., Path], vocabulary: Path) -> None:
    folder = old()
    table = folder / "params" / "pos_embedding"
    whole = table.read_bytes()
    table.write_bytes(whole[:-3])
    with pytest.raises(CheckpointError, match="pos_embedding: not a variable that Paddle saved"):
        read_checkpoint(folder)
    table.write_bytes(whole)
    lines = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
    (folder / "vocab.txt").write_text("\n".join([*lines[:5], *lines[6:]]), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"vocab\.txt:6: expected a token, a tab and the id 5"):
        read_checkpoint(folder)
