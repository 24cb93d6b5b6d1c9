"""Weights in every storage format and directory layout are read exactly."""

from __future__ import annotations

import json
import types
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders.checkpoints.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from ernie_builders.checkpoints.weight_formats import from_hugging_face
from ernie_builders.framework import import_paddle
from ernie_builders.kinds import get_builder_kind
from ernie_builders.modeling.model import build_model
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..tiny import CONFIG, ENTRIES, assert_same_weights, manifest_with, random_hugging_face, write_hugging_face
from ..torch_files import bfloat16_bits, write_bfloat16_safetensors, write_torch

LABELS = 3


def test_torch_half_precision(unweighted: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = random_hugging_face()
    half = {name: value.astype(np.float16) for name, value in weights.items()}
    write_torch(unweighted / "pytorch_model.bin", half, monkeypatch, "HalfStorage")
    as_float = {name: value.astype(np.float32) for name, value in half.items()}
    assert_same_weights(read_checkpoint(unweighted).weights, from_hugging_face(as_float))


@pytest.mark.parametrize("form", ["bin", "safetensors", "pdparams"])
def test_bfloat16(unweighted: Path, form: str, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = random_hugging_face()
    bits = {name: bfloat16_bits(value) for name, value in weights.items()}
    rounded = {name: (value.astype(np.uint32) << 16).view(np.float32) for name, value in bits.items()}
    if form == "bin":
        write_torch(unweighted / "pytorch_model.bin", bits, monkeypatch, "BFloat16Storage")
    elif form == "safetensors":
        write_bfloat16_safetensors(unweighted / "model.safetensors", weights)
    else:
        paddle = import_paddle("cpu")
        state = {name: paddle.to_tensor(value).astype("bfloat16") for name, value in from_hugging_face(rounded).items()}
        paddle.save(state, str(unweighted / "model_state.pdparams"))
    assert_same_weights(read_checkpoint(unweighted).weights, from_hugging_face(rounded))


def test_float16_safetensors(unweighted: Path) -> None:
    half = {name: value.astype(np.float16) for name, value in random_hugging_face().items()}
    save_file(half, str(unweighted / "model.safetensors"))
    expected = from_hugging_face({name: value.astype(np.float32) for name, value in half.items()})
    assert_same_weights(read_checkpoint(unweighted).weights, expected)


@pytest.mark.parametrize("bare", [True, False], ids=["ErnieModel", "task model"])
def test_paddlenlp_directory(unweighted: Path, bare: bool) -> None:
    weights = from_hugging_face(random_hugging_face())
    paddle = import_paddle("cpu")
    state = {name.removeprefix("ernie.") if bare else name: paddle.to_tensor(value) for name, value in weights.items()}
    paddle.save(state, str(unweighted / "model_state.pdparams"))
    modern = read_checkpoint(unweighted)
    assert_same_weights(modern.weights, weights)
    assert modern.config.layer_norm_eps == 1e-12
    assert not modern.has_head

    (unweighted / "config.json").unlink()
    inner = {**CONFIG, "init_class": "ErnieModel"}
    old = {
        "init_args": [{"init_args": [inner], "init_class": "ErnieModel"}, 3],
        "init_class": "ErnieForSequenceClassification",
    }
    (unweighted / "model_config.json").write_text(json.dumps(old), encoding="utf-8")
    older = read_checkpoint(unweighted)
    assert_same_weights(older.weights, weights)
    assert older.config == modern.config


@pytest.mark.parametrize(("bits", "error", "share"), [(32, 0, 1.0), (16, 1e-3, 0.5)])
def test_one_loader_reads_all_storages(tmp_path: Path, vocabulary: Path, bits: int, error: float, share: float) -> None:
    weights = from_hugging_face(random_hugging_face())
    write_checkpoint(tmp_path / "c", CONFIG, weights, load_tokenizer(vocabulary), bits)
    checkpoint = read_checkpoint(tmp_path / "c")
    assert checkpoint.weights.keys() == weights.keys()
    for name, value in weights.items():
        assert checkpoint.weights[name].dtype == np.float32
        np.testing.assert_allclose(checkpoint.weights[name], value, atol=error * float(np.abs(value).max()), rtol=0)
    size = (tmp_path / "c" / "model.safetensors").stat().st_size
    assert size < 1.2 * share * sum(value.nbytes for value in weights.values())


def test_no_downloaded_name_reaches_the_network(monkeypatch: pytest.MonkeyPatch, base_model: Path) -> None:
    """A PaddleNLP name goes through PaddleNLP; what comes back is like a local directory."""
    from ernie_builders.modeling import model as models

    transformers = models.import_paddlenlp()
    local = read_checkpoint(base_model)
    config = transformers.ErnieConfig(**{k: v for k, v in local.config.to_json().items() if k != "layer_norm_eps"})
    model = transformers.ErnieModel(config)
    fake = types.SimpleNamespace(
        ErnieModel=types.SimpleNamespace(from_pretrained=lambda name: model),
        ErnieTokenizer=types.SimpleNamespace(
            from_pretrained=lambda name: transformers.ErnieTokenizer(str(base_model / "vocab.txt"))
        ),
    )
    monkeypatch.setattr(models, "import_paddlenlp", lambda: fake)
    checkpoint = models.find_base_model("ernie-3.0-nano-zh")
    monkeypatch.undo()
    assert isinstance(checkpoint, Checkpoint)
    assert checkpoint.tokenizer.fingerprint == local.tokenizer.fingerprint
    assert checkpoint.weights.keys() == local.weights.keys()
    assert (
        build_model(get_builder_kind("sequence_classification"), checkpoint, manifest_with(LABELS), dropout=0.1)
        is not None
    )


def test_embedding_rows_beyond_the_vocabulary_are_accepted(tmp_path: Path, vocabulary: Path) -> None:
    entries = vocabulary.read_text(encoding="utf-8").splitlines()
    fewer = tmp_path / "vocab.txt"
    fewer.write_text("\n".join(entries[:-20]), encoding="utf-8")
    folder = write_hugging_face(tmp_path / "model", random_hugging_face(), CONFIG, fewer)
    assert len(read_checkpoint(folder).weights["ernie.embeddings.word_embeddings.weight"]) == ENTRIES
