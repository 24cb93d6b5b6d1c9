"""Converting an encoder between Hugging Face's format and Paddle's: the same outputs, the same weights back."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ernie_builders import build_all, convert_encoder
from ernie_builders.checkpoints.architectures import WORDS
from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.encoders import EMBEDDED, ENCODERS
from ernie_builders.checkpoints.pretraining_head import with_pretraining_head
from ernie_builders.checkpoints.weight_formats import Weights
from ernie_builders.framework import import_paddle
from ernie_builders.pretraining.model import pretraining_model, with_own_head

from .command_line import fault_line, one_object
from .numpy_encoder import hugging_face_forward
from .places import small_files
from .tiny import CONFIG, ENTRIES, HIDDEN, assert_same_weights, random_hugging_face, write_hugging_face

BOUND = 1e-5


def run(*words: object) -> int:
    return convert_encoder.main([str(word) for word in words])


@pytest.fixture
def source(tmp_path: Path, vocabulary: Path) -> Path:
    """A Hugging Face directory with the head it was pre-trained with, nothing in it 0 or 1."""
    generator = np.random.default_rng(3)
    weights = {f"ernie.{name}": value for name, value in random_hugging_face().items()}
    for name, shape in (
        ("transform.dense.weight", (HIDDEN, HIDDEN)),
        ("transform.dense.bias", (HIDDEN,)),
        ("transform.LayerNorm.weight", (HIDDEN,)),
        ("transform.LayerNorm.bias", (HIDDEN,)),
        ("bias", (ENTRIES,)),
    ):
        weights[f"cls.predictions.{name}"] = generator.standard_normal(shape).astype(np.float32)
    return write_hugging_face(tmp_path / "source", weights, CONFIG, vocabulary)


def inputs() -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(5)
    ids = generator.integers(5, ENTRIES, (3, 20))
    ids[1, 7:] = 0
    return ids, generator.integers(0, 4, ids.shape)


def head_logits(weights: Weights, hidden: np.ndarray) -> np.ndarray:
    """Hugging Face's ErnieForMaskedLM behind the encoder, in float64."""
    from math import erf, sqrt

    w = {name.removeprefix("cls.predictions."): value.astype(np.float64) for name, value in weights.items()}
    x = hidden @ w["transform.dense.weight"].T + w["transform.dense.bias"]
    x = np.vectorize(lambda v: v * 0.5 * (1 + erf(v / sqrt(2))))(x)
    x = (x - x.mean(-1, keepdims=True)) / np.sqrt(x.var(-1, keepdims=True) + 1e-12)
    x = x * w["transform.LayerNorm.weight"] + w["transform.LayerNorm.bias"]
    return np.asarray(x @ w["ernie.embeddings.word_embeddings.weight"].T + w["bias"])


def paddle_outputs(folder: Path, ids: np.ndarray, types: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hidden states, pooled states and logits of every token, of a directory's model in Paddle."""
    paddle = import_paddle("cpu")
    model = pretraining_model(with_pretraining_head(read_checkpoint(folder)), (), 0.0, 0)
    model.eval()
    tensors = [paddle.to_tensor(value) for value in (ids, types, np.arange(ids.size))]
    with paddle.no_grad():
        hidden, pooled = model.ernie(tensors[0], token_type_ids=tensors[1])
        logits, _ = model(*tensors)
    return hidden.numpy(), pooled.numpy(), logits.numpy().reshape(*ids.shape, -1)


def test_both_ways_give_the_same_outputs(source: Path, tmp_path: Path) -> None:
    """Hugging Face -> Paddle -> Hugging Face, against the documented mathematics of Hugging Face's model."""
    original = load_file(str(source / "model.safetensors"))
    assert run(source, tmp_path / "paddle", "--to", "paddle") == 0
    assert run(tmp_path / "paddle", tmp_path / "back", "--to", "huggingface") == 0
    back = load_file(str(tmp_path / "back" / "model.safetensors"))
    ids, types = inputs()
    real = ids != 0
    hidden, pooled = hugging_face_forward(original, ids, types, 1e-12, True)
    logits = head_logits(original, hidden)
    scale = float(np.abs(logits).max())
    for folder in (source, tmp_path / "paddle", tmp_path / "back"):
        outputs = paddle_outputs(folder, ids, types)
        assert np.abs(outputs[0] - hidden)[real].max() <= BOUND
        assert np.abs(outputs[1] - pooled).max() <= BOUND
        assert np.abs(outputs[2] - logits)[real].max() <= BOUND * max(1.0, scale)
    hidden_again, pooled_again = hugging_face_forward(back, ids, types, 1e-12, True)
    assert np.abs(hidden_again - hidden).max() == 0 and np.abs(pooled_again - pooled).max() == 0
    assert np.abs(head_logits(back, hidden_again) - logits).max() == 0
    assert {name for name in back if name not in original} == {"cls.predictions.decoder.bias"}
    for name, value in original.items():
        np.testing.assert_array_equal(back[name], value, err_msg=name)


def test_converting_there_and_back_keeps_every_weight(base_model: Path, tmp_path: Path) -> None:
    """Without a head, and with the pooler."""
    before = read_checkpoint(base_model)
    assert build_all.main(["convert-encoder", str(base_model), str(tmp_path / "p"), "--to", "paddle"]) == 0
    names = list(load_file(str(tmp_path / "p" / "model.safetensors")))
    assert "ernie.encoder.layers.1.self_attn.q_proj.weight" in names
    assert run(tmp_path / "p", tmp_path / "h", "--to", "huggingface") == 0
    after = read_checkpoint(tmp_path / "h")
    assert after.config == before.config
    assert_same_weights(after.weights, before.weights)


def test_the_embedded_encoder_keeps_its_head(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("embedded", tmp_path / "h", "--to", "huggingface", "--bits", "16", "--json") == 0
    written = one_object(capsys)
    assert (written["output"], written["format"], written["bits"]) == (str(tmp_path / "h"), "huggingface", 16)
    before, after = (with_own_head(read_checkpoint(path)) for path in (ENCODERS[EMBEDDED], tmp_path / "h"))
    assert all((after.weights[name] == value).all() for name, value in before.weights.items())
    assert after.weights[WORDS].shape == (8000, 312)
    assert "cls.predictions.decoder_bias" in before.weights


def test_faults(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fails = partial(fault_line, program="ernie-triton build convert-encoder", capsys=capsys)
    target = tmp_path / "target"
    fails(run("nowhere", target, "--to", "paddle"), "nowhere: neither an encoder that ships")
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "notes.txt").write_text("keep me", encoding="utf-8")
    fails(run(source, tmp_path / "notes", "--to", "paddle"), "exists and is no model directory")
    weights = load_file(str(source / "model.safetensors"))
    weights["cls.predictions.decoder.weight"] = np.zeros((ENTRIES, HIDDEN), np.float32)
    save_file(weights, str(source / "model.safetensors"))
    fails(run(source, target, "--to", "paddle"), "decoder.weight is not the table of word embeddings: not supported")
    assert not target.exists()


def test_a_full_disk_keeps_the_earlier_encoder(
    base_model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(base_model, tmp_path / "t", "--to", "paddle") == 0
    before = {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()}
    with small_files(30_000):
        assert run(base_model, tmp_path / "t", "--to", "huggingface") == 1
    assert f"{tmp_path / 't'} is kept as it was" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in (tmp_path / "t").iterdir()} == before
