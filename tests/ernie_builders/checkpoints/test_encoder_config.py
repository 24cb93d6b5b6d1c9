"""The configuration of a checkpoint is read on its own: typed, checked, and without touching the weights."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.checkpoints import checkpoint as module
from ernie_builders.checkpoints import random_encoder
from ernie_builders.checkpoints.base_models import unpublished_model
from ernie_builders.checkpoints.checkpoint import (
    read_checkpoint,
    tokenizer_of,
    write_checkpoint,
    write_options,
)
from ernie_builders.checkpoints.encoder_config import parse_config, read_config
from ernie_builders.checkpoints.weight_formats import WEIGHT_FILES
from ernie_builders.config.tasks import ASSETS
from ernie_builders.errors import CheckpointError
from ernie_builders.filesystem import sha256_of
from ernie_builders.modeling.model import tokenizer_of_base_model

from ..tiny import CONFIG, random_hugging_face, write_hugging_face

WEIGHTS = (*WEIGHT_FILES, "delta.xz")


@pytest.fixture
def no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    """Opening a weight file fails the test."""
    read_bytes, opened = Path.read_bytes, Path.open

    def check(path: Path) -> None:
        assert path.name not in WEIGHTS, f"{path} was opened"

    monkeypatch.setattr(Path, "read_bytes", lambda path: check(path) or read_bytes(path))
    monkeypatch.setattr(Path, "open", lambda path, *args, **options: check(path) or opened(path, *args, **options))


@pytest.mark.parametrize("name", ["encoder", "checkpoints/iflytek", "checkpoints/chnsenticorp"])
def test_no_shipped_weight_file_is_opened(name: str, no_weights: None) -> None:
    folder = ASSETS / name
    config, tokenizer = read_config(folder), tokenizer_of(folder)
    assert config.to_json().items() <= json.loads((folder / "config.json").read_text(encoding="utf-8")).items()
    assert config.head_size * config.num_attention_heads == config.hidden_size
    assert tokenizer.token(0) == "[PAD]"
    assert tokenizer_of_base_model("embedded").fingerprint == sha256_of(ASSETS / "encoder" / "vocab.txt")
    module._unpacked.cache_clear()  # what an earlier test read
    with pytest.raises((AssertionError, CheckpointError), match="was opened"):
        read_checkpoint(folder)


def test_unreadable_weights_do_not_matter(tmp_path: Path, vocabulary: Path) -> None:
    folder = write_hugging_face(tmp_path / "model", random_hugging_face(), CONFIG, vocabulary)
    checkpoint = read_checkpoint(folder)
    (folder / "model.safetensors").write_bytes(b"damaged")
    assert read_config(folder) == checkpoint.config
    assert tokenizer_of(folder).fingerprint == checkpoint.tokenizer.fingerprint


def test_the_shape_of_a_random_encoder_draws_no_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(random_encoder, "random_weights", None)
    assert unpublished_model("random:3x24x2:ernie_2.0_en", None).shape == "3 x 24 x 2"
    assert tokenizer_of_base_model("random:3x24x2:ernie_2.0_en").id("##ing") is not None


def test_a_configuration_is_written_as_it_was_read(tmp_path: Path, base_model: Path) -> None:
    source = read_checkpoint(base_model)
    options = {"thresholds": {"上海": 0.25}}
    config = parse_config({**CONFIG, "task_options": options, "id2label": {"0": "好"}, "task_id": None}, "")
    write_checkpoint(tmp_path / "full", config, source.weights, source.tokenizer)
    write_checkpoint(tmp_path / "small", config, source.weights, source.tokenizer, bits=8)
    for folder in (tmp_path / "full", tmp_path / "small"):
        assert read_config(folder) == config
        assert "task_id" not in json.loads((folder / "config.json").read_text(encoding="utf-8"))
    assert config.without_task() == source.config


def test_options_are_stored_without_the_weights(tmp_path: Path, base_model: Path) -> None:
    source = read_checkpoint(base_model)
    write_checkpoint(tmp_path, source.config, source.weights, source.tokenizer)
    (tmp_path / "model.safetensors").write_bytes(b"damaged")
    write_options(tmp_path, {"values": {"song": {"体面": "体面(电影)"}}})
    config = read_config(tmp_path)
    assert config.task_options == {"values": {"song": {"体面": "体面(电影)"}}}
    assert config.without_task() == source.config
    assert (tmp_path / "model.safetensors").read_bytes() == b"damaged"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"hidden_act": 3}, "hidden_act is 3, supported is 'gelu' or 'relu'"),
        ({"layer_norm_eps": "small"}, "layer_norm_eps is 'small', expected a number"),
        ({"use_task_id": "yes"}, "use_task_id is 'yes', expected true or false"),
        ({"task_options": [1]}, "task_options is [1], expected an object"),
    ],
)
def test_a_value_of_the_wrong_type(change: dict[str, Any], message: str) -> None:
    with pytest.raises(CheckpointError) as raised:
        parse_config({**CONFIG, **change}, "a/config.json")
    assert str(raised.value) == f"a/config.json: {message}"


def test_no_directory(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match="no such directory"):
        read_config(tmp_path / "none")
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(CheckpointError, match="a file; give the directory it lies in"):
        read_config(tmp_path / "file")
