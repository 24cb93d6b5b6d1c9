"""Directories without usable weights are refused in one line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.weight_formats import read_weights
from ernie_builders.errors import CheckpointError

from ..tiny import CONFIG, ENTRIES, random_hugging_face, write_hugging_face


def break_file(folder: Path, name: str, content: bytes) -> None:
    for path in folder.iterdir():
        if path.suffix in (".safetensors", ".bin", ".pdparams"):
            path.unlink()
    (folder / name).write_bytes(content)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("model.safetensors", b"not weights", "model.safetensors: cannot be read as weights"),
        ("model.safetensors", b"", "model.safetensors: cannot be read as weights"),
        ("pytorch_model.bin", b"not a zip file", "pytorch_model.bin: cannot be read as weights"),
        ("model_state.pdparams", b"not a pickle", "model_state.pdparams: cannot be read as weights"),
        ("config.json", b"{", "config.json: not JSON"),
        ("config.json", b"[1]", "config.json: expected a JSON object"),
        ("config.json", b"{}", "config.json: has no vocab_size, hidden_size"),
        (
            "vocab.txt",
            b"[PAD]\n[CLS]\n[SEP]\n[UNK]\n[MASK]\n" + b"a\n" * (ENTRIES - 4),
            f"vocab.txt: {ENTRIES + 1} entries, but the word embeddings have {ENTRIES} rows",
        ),
    ],
)
def test_broken_files(tmp_path: Path, vocabulary: Path, name: str, content: bytes, message: str) -> None:
    folder = write_hugging_face(tmp_path / "model", random_hugging_face(), CONFIG, vocabulary)
    read_checkpoint(folder)
    if name.endswith((".json", ".txt")):
        (folder / name).write_bytes(content)
    else:
        break_file(folder, name, content)
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(folder)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"num_attention_heads": 5},
            "hidden_size is 32, expected a whole number above 0 that num_attention_heads (5) divides",
        ),
        ({"num_hidden_layers": "two"}, "num_hidden_layers is 'two', expected a whole number above 0"),
    ],
)
def test_broken_config(tmp_path: Path, vocabulary: Path, change: dict[str, Any], message: str) -> None:
    folder = write_hugging_face(tmp_path / "model", random_hugging_face(), {**CONFIG, **change}, vocabulary)
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(folder)
    assert message in str(raised.value)


def test_foreign_weights(unweighted: Path) -> None:
    save_file({"layer.weight": np.zeros((2, 2), np.float32)}, str(unweighted / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"not an ERNIE encoder \(found layer\.weight, \.\.\.\)"):
        read_checkpoint(unweighted)
    save_file({"layer.weight": np.zeros((2, 2), np.int8)}, str(unweighted / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"layer\.weight is int8 without layer\.weight_scale, its scales"):
        read_checkpoint(unweighted)
    save_file({"layer.weight": np.zeros((2, 2), np.uint32)}, str(unweighted / "model.safetensors"))
    with pytest.raises(CheckpointError, match=r"layer\.weight is U32: save it as float32"):
        read_weights(unweighted / "model.safetensors")
