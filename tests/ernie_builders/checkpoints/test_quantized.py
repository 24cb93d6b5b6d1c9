"""Weights in 8 and 4 bits, and in several files: exact where promised, refused in one line where faulty."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from ernie_builders.checkpoints import checkpoint as module
from ernie_builders.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from ernie_builders.checkpoints.quantized import quantize
from ernie_builders.checkpoints.shards import INDEX, write_shards
from ernie_builders.checkpoints.weight_formats import read_weights
from ernie_builders.errors import CheckpointError
from ernie_runtime.text.tokenizer import Tokenizer

from ..tiny import CONFIG, Weights

TABLE, LINEAR = "ernie.embeddings.word_embeddings.weight", "ernie.encoder.layers.0.linear1.weight"


@pytest.fixture
def weights(base_model: Path) -> Weights:
    """A tiny encoder's, and a head."""
    generator = np.random.default_rng(5)
    head = {"classifier.weight": generator.standard_normal((32, 3), np.float32)}
    return {**read_checkpoint(base_model).weights, **head}


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_every_weight_is_within_half_a_step(tmp_path: Path, weights: Weights, tokenizer: Tokenizer) -> None:
    write_checkpoint(tmp_path / "m", CONFIG, weights, tokenizer, bits=8)
    back = read_checkpoint(tmp_path / "m").weights
    assert back.keys() == weights.keys()
    for name, value in weights.items():
        assert back[name].dtype == np.float32
        if value.ndim == 2 and name.startswith("ernie."):
            largest = np.abs(value).max(axis=1 if "embeddings" in name else 0, keepdims=True)
            assert (np.abs(back[name] - value) <= largest / 254 * 1.001).all(), name
        else:
            np.testing.assert_array_equal(back[name], value.astype(np.float16).astype(np.float32), name)


def test_what_a_stranger_reads(tmp_path: Path, weights: Weights, tokenizer: Tokenizer) -> None:
    """With safetensors alone: a weight is the int8 array times its scales, one per row of a table or per output."""
    write_checkpoint(tmp_path / "m", CONFIG, weights, tokenizer, bits=8)
    stored = load_file(tmp_path / "m" / "model.safetensors")
    for name, shape in ((TABLE, (weights[TABLE].shape[0], 1)), (LINEAR, (1, weights[LINEAR].shape[1]))):
        assert (stored[name].dtype, stored[name + "_scale"].shape) == (np.int8, shape)
        np.testing.assert_allclose(stored[name] * stored[name + "_scale"], weights[name], atol=0.002)


def test_a_row_of_zeros_stays(weights: Weights) -> None:
    weights[TABLE] = weights[TABLE].copy()
    weights[TABLE][7] = 0
    stored = quantize(weights, 8)
    assert not stored[TABLE][7].any() and np.isfinite(stored[TABLE + "_scale"]).all()


def test_no_weight_that_is_no_number(weights: Weights) -> None:
    with pytest.raises(CheckpointError, match=r"^classifier\.weight: has values that are not finite$"):
        quantize({**weights, "classifier.weight": np.array([[np.nan]], np.float32)}, 8)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop(LINEAR + "_scale"), f"{LINEAR} is int8 without {LINEAR}_scale, its scales"),
        (
            lambda w: w.update({LINEAR + "_scale": np.ones((1, 3), np.float32)}),
            f"{LINEAR} is [32, 64], its scales are [1, 3]: they do not fit",
        ),
        (
            lambda w: w.update({LINEAR + "_scale": np.ones((2, 1, 1), np.float32)}),
            f"{LINEAR} is [32, 64], its scales are [2, 1, 1]: they do not fit",
        ),
    ],
)
def test_faulty_scales(
    tmp_path: Path, weights: Weights, tokenizer: Tokenizer, change: Callable[[Weights], object], message: str
) -> None:
    write_checkpoint(tmp_path / "m", CONFIG, weights, tokenizer, bits=8)
    path = tmp_path / "m" / "model.safetensors"
    stored = load_file(path)
    change(stored)
    save_file(stored, path)
    assert refusal(tmp_path / "m") == f"{path}: {message}"


def test_four_bits_are_within_half_a_step_and_come_back_exactly(
    tmp_path: Path, weights: Weights, tokenizer: Tokenizer
) -> None:
    write_checkpoint(tmp_path / "m", CONFIG, weights, tokenizer, bits=4)
    back = read_checkpoint(tmp_path / "m").weights
    for name in (TABLE, LINEAR):
        rows = weights[name] if name == TABLE else weights[name].T
        blocks = np.abs(rows.reshape(len(rows), -1, 32)).max(axis=2, keepdims=True)
        error = np.abs(back[name] - weights[name])
        error = (error if name == TABLE else error.T).reshape(len(rows), -1, 32)
        assert (error <= blocks / 8 * 1.001).all() and error.mean() < blocks.mean() / 24, name
    write_checkpoint(tmp_path / "again", CONFIG, back, tokenizer, bits=4)
    for name, value in read_checkpoint(tmp_path / "again").weights.items():
        np.testing.assert_array_equal(value, back[name], name)


def test_what_a_stranger_reads_of_four_bits(tmp_path: Path, weights: Weights, tokenizer: Tokenizer) -> None:
    """As ggml's Q4_0: 16 bytes a block, low halves first, times the block's scale."""
    row = np.arange(-8, 8, dtype=np.float32).repeat(2) * 0.25
    weights[TABLE] = np.tile(row, (len(weights[TABLE]), 1))
    write_checkpoint(tmp_path / "m", CONFIG, weights, tokenizer, bits=4)
    stored = load_file(tmp_path / "m" / "model.safetensors")
    assert stored[TABLE].dtype == np.uint8 and stored[TABLE].shape == (len(weights[TABLE]), 16)
    assert (stored[TABLE + "_scale"] == 0.25).all()
    assert stored[TABLE][0].tolist() == [low | (low + 8) << 4 for low in range(8) for _ in range(2)]
    assert stored[LINEAR].shape == (64, 16)  # [32, 64], in blocks along its inputs


def test_four_bits_need_whole_blocks(weights: Weights) -> None:
    with pytest.raises(CheckpointError, match=f"^{TABLE}: 30 numbers are no whole blocks of 32: store it in 8 bits$"):
        quantize({TABLE: weights[TABLE][:, :30]}, 4)


def test_a_file_packed_with_xz(tmp_path: Path, weights: Weights, tokenizer: Tokenizer) -> None:
    write_checkpoint(tmp_path / "m", CONFIG, weights, tokenizer, bits=4)
    expected, path = read_checkpoint(tmp_path / "m").weights, tmp_path / "m" / "model.safetensors"
    packed = path.with_name("model.safetensors.xz")
    packed.write_bytes(lzma.compress(path.read_bytes()))
    path.unlink()
    for name, value in read_checkpoint(tmp_path / "m").weights.items():
        np.testing.assert_array_equal(value, expected[name], name)
    packed.write_bytes(packed.read_bytes()[:-50])
    assert refusal(tmp_path / "m").startswith(f"{packed}: cannot be read as weights (it is cut")


@pytest.mark.parametrize("bits", [4, 8, 32])
def test_shards_are_read_as_one_file(
    tmp_path: Path, weights: Weights, tokenizer: Tokenizer, monkeypatch: pytest.MonkeyPatch, bits: int
) -> None:
    write_checkpoint(tmp_path / "one", CONFIG, weights, tokenizer, bits=bits)
    whole = load_file(tmp_path / "one" / "model.safetensors")
    folder = tmp_path / "many"
    write_checkpoint(folder, CONFIG, weights, tokenizer, bits=bits)
    write_shards(folder, whole, 12_000)
    files = sorted(path.name for path in folder.glob("*.safetensors"))
    assert len(files) > 2 and files[0] == f"model-00001-of-{len(files):05}.safetensors"
    for file in files:
        arrays = load_file(folder / file)
        assert len(arrays) == 1 or sum(value.nbytes for value in arrays.values()) <= 12_000
    for name, value in read_checkpoint(tmp_path / "one").weights.items():
        np.testing.assert_array_equal(read_checkpoint(folder).weights[name], value)
    monkeypatch.setattr(module, "LIMIT", 12_000)
    write_checkpoint(tmp_path / "one", CONFIG, weights, tokenizer, bits=8)  # takes the place of the single file
    assert (tmp_path / "one" / INDEX).is_file() and not (tmp_path / "one" / "model.safetensors").exists()
    write_checkpoint(tmp_path / "one", CONFIG, weights, tokenizer)
    assert [path.name for path in (tmp_path / "one").glob("*model*")] == ["model.safetensors"]


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("{", "not an index of weight files (JSONDecodeError: "),
        ("[]", "not an index of weight files (TypeError: "),
        ('{"weight_map": {}}', "not an index of weight files (weight_map is no object with entries)"),
        ('{"weight_map": {"w": "../m.safetensors"}}', "says that w is in '../m.safetensors', which is no file beside"),
        ('{"weight_map": {"w": 3}}', "says that w is in 3, which is no file beside it"),
        ('{"weight_map": {"w": "x.safetensors"}}', "names x.safetensors, which is not there: copy the checkpoint"),
    ],
)
def test_a_faulty_index(unweighted: Path, index: str, message: str) -> None:
    (unweighted / INDEX).write_text(index, encoding="utf-8")
    assert refusal(unweighted).startswith(f"{unweighted / INDEX}: {message}")


def test_a_shard_without_what_the_index_says(tmp_path: Path) -> None:
    save_file({"v": np.zeros(2, np.float32)}, tmp_path / "a.safetensors")
    (tmp_path / INDEX).write_text(json.dumps({"weight_map": {"w": "a.safetensors"}}), encoding="utf-8")
    with pytest.raises(CheckpointError, match=r"a\.safetensors: has no w, which model.safetensors.index.json says: "):
        read_weights(tmp_path / INDEX)
