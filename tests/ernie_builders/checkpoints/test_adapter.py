"""Checkpoints stored as what LoRA changed in an encoder that ships."""

from __future__ import annotations

import json
import lzma
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load, save

from ernie_builders.checkpoints import checkpoint as module
from ernie_builders.checkpoints.adapter import ARRAYS, CONFIG
from ernie_builders.checkpoints.checkpoint import read_checkpoint, tokenizer_of, write_adapter, write_checkpoint
from ernie_builders.checkpoints.weight_formats import read_weights
from ernie_builders.errors import CheckpointError
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..tiny import CONFIG as SHAPE
from ..tiny import HIDDEN, Weights, random_hugging_face, write_hugging_face

RANK = 3
LAYER = "ernie.encoder.layers.1.linear2"
NORM = "ernie.encoder.layers.0.norm1.weight"


@pytest.fixture
def base(tmp_path: Path, vocabulary: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one encoder that ships, for this test."""
    folder = write_hugging_face(tmp_path / "encoder", random_hugging_face(), SHAPE, vocabulary)
    monkeypatch.setattr(module, "BASES", {"tiny": folder})
    return folder


@pytest.fixture
def trained(base: Path) -> Weights:
    """The encoder's weights with every linear layer changed in rank 3, a changed normalization, and a head."""
    generator = np.random.default_rng(3)
    weights = read_checkpoint(base).weights
    for name, value in weights.items():
        if name.startswith("ernie.encoder.layers.") and value.ndim == 2:
            a, b = generator.standard_normal((value.shape[0], RANK)), generator.standard_normal((RANK, value.shape[1]))
            weights[name] = value + (0.01 * a @ b).astype(np.float32)
    weights[NORM] = weights[NORM] + np.float32(0.25)
    return {**weights, "classifier.weight": generator.standard_normal((HIDDEN, 4)).astype(np.float32)}


@pytest.fixture
def folder(tmp_path: Path, trained: Weights, tokenizer: Tokenizer) -> Path:
    """A checkpoint as an adapter."""
    write_adapter(tmp_path / "a", {**SHAPE, "task_options": {"thresholds": [0.5]}}, trained, tokenizer, "tiny")
    return tmp_path / "a"


def stored_in(folder: Path) -> dict[str, np.ndarray]:
    """The arrays of an adapter as they are in its file."""
    return load(lzma.decompress((folder / ARRAYS).read_bytes()))


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def test_it_is_read_as_what_was_trained(folder: Path, base: Path, trained: Weights) -> None:
    checkpoint = read_checkpoint(folder)
    assert checkpoint.weights.keys() == trained.keys()
    for name, value in trained.items():
        np.testing.assert_allclose(checkpoint.weights[name], value, rtol=1e-3, atol=2e-3)
    assert checkpoint.config.task_options == {"thresholds": [0.5]}
    assert checkpoint.tokenizer.fingerprint == tokenizer_of(base).fingerprint == tokenizer_of(folder).fingerprint
    assert sorted(path.name for path in folder.iterdir()) == [CONFIG, ARRAYS, "config.json"]


def test_an_encoder_is_unpacked_once_but_again_when_it_changes(folder: Path, base: Path, vocabulary: Path) -> None:
    first, second = (read_checkpoint(base).weights for _ in range(2))
    assert first is not second and first[NORM] is second[NORM]
    with pytest.raises(ValueError, match="read-only"):
        first[NORM][:] = 0
    write_hugging_face(base, random_hugging_face(seed=7), SHAPE, vocabulary)
    assert (read_checkpoint(base).weights[f"{LAYER}.weight"] != first[f"{LAYER}.weight"]).any()
    assert "which is none of those that ship" in refusal(folder)


def test_what_a_stranger_reads(folder: Path, base: Path, trained: Weights) -> None:
    """8-bit matrices of the rank that was trained, a scale for each column of A and row of B; only what changed."""
    stored, config = stored_in(folder), json.loads((folder / CONFIG).read_text(encoding="utf-8"))
    a, b = stored[f"{LAYER}.lora_A"], stored[f"{LAYER}.lora_B"]
    assert (a.dtype, a.shape, b.shape) == (np.int8, (64, RANK), (RANK, 32))
    start = read_checkpoint(base).weights[f"{LAYER}.weight"]
    scales = [stored[f"{LAYER}.lora_{matrix}_scale"] for matrix in "AB"]
    assert [scale.shape for scale in scales] == [(1, RANK), (RANK, 1)]
    np.testing.assert_allclose(start + (a * scales[0]) @ (b * scales[1]), trained[f"{LAYER}.weight"], atol=2e-3)
    assert {name for name in stored if ".lora_" not in name} == {NORM, "classifier.weight"}
    assert (config["peft_type"], config["r"], config["lora_alpha"]) == ("LORA", RANK, RANK)
    assert config["target_modules"] == ["k_proj", "linear1", "linear2", "out_proj", "q_proj", "v_proj"]
    assert config["modules_to_save"] == ["classifier.weight", NORM]


def test_one_lora_on_another(tmp_path: Path, trained: Weights, tokenizer: Tokenizer) -> None:
    """A layer that was trained twice has the sum of the ranks, and the others are padded to it."""
    generator = np.random.default_rng(4)
    again = (0.01 * generator.standard_normal((64, 2)) @ generator.standard_normal((2, 32))).astype(np.float32)
    weights = {**trained, f"{LAYER}.weight": trained[f"{LAYER}.weight"] + again}
    write_adapter(tmp_path / "a", SHAPE, weights, tokenizer, "tiny")
    assert {value.shape[1] for name, value in stored_in(tmp_path / "a").items() if ".lora_A" in name} == {5}
    for name, value in weights.items():
        np.testing.assert_allclose(read_checkpoint(tmp_path / "a").weights[name], value, rtol=1e-3, atol=2e-3)


def test_training_in_full_is_refused(tmp_path: Path, trained: Weights, tokenizer: Tokenizer) -> None:
    generator = np.random.default_rng(4)
    full = {**trained, f"{LAYER}.weight": generator.standard_normal((64, 32)).astype(np.float32)}
    with pytest.raises(CheckpointError, match=rf"^{LAYER}\.weight has changed in rank 32 of 32, so an adapter would"):
        write_adapter(tmp_path / "a", SHAPE, full, tokenizer, "tiny")
    table = "ernie.embeddings.word_embeddings.weight"
    with pytest.raises(CheckpointError, match=rf"^{table} has changed, which an adapter does not hold: train with --l"):
        write_adapter(tmp_path / "a", SHAPE, {**trained, table: trained[table] + 1}, tokenizer, "tiny")
    assert not (tmp_path / "a").exists()


def test_a_vocabulary_of_its_own(tmp_path: Path, trained: Weights, vocabulary: Path) -> None:
    lines = vocabulary.read_text(encoding="utf-8").split("\n")
    (tmp_path / "own.txt").write_text("\n".join([*lines[:5], "新", *lines[6:]]), encoding="utf-8")
    write_adapter(tmp_path / "a", SHAPE, trained, load_tokenizer(tmp_path / "own.txt"), "tiny")
    assert read_checkpoint(tmp_path / "a").tokenizer.token(5) == "新"


def test_the_encoder_may_be_stored_in_eight_bits(tmp_path: Path, base: Path, tokenizer: Tokenizer) -> None:
    """Training starts from the weights as they are read, so the adapter is as exact as from any other encoder."""
    write_checkpoint(base, SHAPE, read_checkpoint(base).weights, tokenizer, bits=8)
    weights = read_checkpoint(base).weights
    weights[f"{LAYER}.weight"] = weights[f"{LAYER}.weight"] + np.float32(0.125)  # of rank 1
    write_adapter(tmp_path / "a", SHAPE, weights, tokenizer, "tiny")
    assert stored_in(tmp_path / "a")[f"{LAYER}.lora_A"].shape == (64, 1)
    for name, value in weights.items():
        np.testing.assert_allclose(read_checkpoint(tmp_path / "a").weights[name], value, atol=2e-3)


def test_another_encoder_or_vocabulary(folder: Path, base: Path, vocabulary: Path) -> None:
    path = base / "vocab.txt"
    before = path.read_bytes()
    path.write_bytes(before.replace("的".encode(), "浴".encode(), 1) if "的".encode() in before else before + b"x\n")
    assert "belongs to a vocabulary " in refusal(folder) and str(base) in refusal(folder)
    path.write_bytes(before)
    write_hugging_face(base, random_hugging_face(seed=8), SHAPE, vocabulary)
    assert refusal(folder).startswith(f"{folder}: holds what training changed in the encoder tiny ")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.pop(f"{LAYER}.lora_B"), f"has {LAYER}.lora_A, but no {LAYER}.lora_B"),
        (lambda w: w.pop(f"{LAYER}.lora_A"), f"has {LAYER}.lora_B, but no {LAYER}.lora_A"),
        (
            lambda w: w.update({"x.lora_A": w[f"{LAYER}.lora_A"], "x.lora_B": w[f"{LAYER}.lora_B"]}),
            "has x.lora_A, but the encoder has no x.weight",
        ),
        (
            lambda w: w.update({f"{LAYER}.lora_A": np.zeros((64, 2), np.float16)}),
            f"{LAYER}.lora_A [64, 2] and {LAYER}.lora_B [3, 32] do not fit {LAYER}.weight [64, 32]",
        ),
    ],
)
def test_arrays_that_do_not_fit(folder: Path, change: Callable[[Weights], object], message: str) -> None:
    stored = read_weights(folder / ARRAYS)  # in floating point, which is read, too
    change(stored)
    (folder / ARRAYS).write_bytes(lzma.compress(save(stored)))
    assert refusal(folder) == f"{folder / ARRAYS}: {message}"


@pytest.mark.parametrize("content", ["{", "[]", "{}", json.dumps({"base_model_name_or_path": "tiny"})])
def test_a_configuration_that_is_none(folder: Path, content: str) -> None:
    (folder / CONFIG).write_text(content, encoding="utf-8")
    assert refusal(folder).startswith(f"{folder / CONFIG}: not an adapter of this project (")


def test_missing_arrays(folder: Path) -> None:
    (folder / ARRAYS).unlink()
    assert refusal(folder) == f"{folder / ARRAYS}: no such file, but {CONFIG} is there"


def test_the_first_form_is_replaced(folder: Path, trained: Weights, tokenizer: Tokenizer) -> None:
    write_checkpoint(folder, SHAPE, trained, tokenizer)
    found: dict[str, Any] = read_checkpoint(folder).weights
    np.testing.assert_array_equal(found["classifier.weight"], trained["classifier.weight"])
    assert not (folder / ARRAYS).exists()
