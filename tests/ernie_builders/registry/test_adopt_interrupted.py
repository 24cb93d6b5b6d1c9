"""`assets adopt` interrupted before each of its writes: all checkpoints stay readable, the next run finishes."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import save_file

from ernie_builders.checkpoints import checkpoint as weights
from ernie_builders.checkpoints.checkpoint import read_checkpoint, write_checkpoint, write_compact
from ernie_builders.checkpoints.checksums import refresh, verify
from ernie_builders.checkpoints.delta_files import read_delta
from ernie_builders.checkpoints.weight_formats import fingerprint
from ernie_builders.registry import adopt as adopting
from ernie_builders.registry import earlier
from ernie_builders.registry.adopt import adopt
from ernie_builders.registry.earlier import STEP
from ernie_runtime.text.tokenizer_file import load_tokenizer

CONFIG = {"vocab_size": 40, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
NAMES = ("ernie.embeddings.word_embeddings.weight", "ernie.encoder.layers.0.linear1.weight")


def encoder(folder: Path, seed: int) -> Path:
    """A small encoder with its head and card."""
    generator = np.random.default_rng(seed)
    folder.parent.mkdir(exist_ok=True)
    (folder.parent / "vocab.txt").write_text("".join(f"w{number}\n" for number in range(40)))
    tensors = {name: generator.normal(0, 0.05, (40, 8)).astype(np.float32) for name in NAMES}
    write_checkpoint(folder, CONFIG, tensors, load_tokenizer(folder.parent / "vocab.txt"), bits=16)
    save_file({"cls.predictions.decoder_bias": np.zeros(40, np.float32)}, folder / "mlm_head.safetensors")
    (folder / "card.json").write_text('{"title": "Small"}')
    return folder


class Stopping:
    """Calls the real function `times` times, then raises KeyboardInterrupt."""

    def __init__(self, real: Any, remaining: list[int]) -> None:
        self.real, self.remaining = real, remaining

    def __call__(self, *args: Any, **named: Any) -> Any:
        self.remaining[0] -= 1
        if self.remaining[0] < 0:
            raise KeyboardInterrupt
        return self.real(*args, **named)


def stopped(new: Path, root: Path, writes: int) -> bool:
    """Whether `adopt` was interrupted, after that many writes."""
    remaining = [writes]
    with pytest.MonkeyPatch.context() as patch:
        for module in (adopting, earlier):
            for name in ("refresh", "whole_folder", "write_delta"):
                if hasattr(module, name):
                    patch.setattr(module, name, Stopping(getattr(module, name), remaining))
        try:
            adopt(new, root)
        except KeyboardInterrupt:
            return True
    return False


def test_every_step_leaves_checkpoints_that_can_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root, new = tmp_path / "assets", encoder(tmp_path / "new", 1)
    old = encoder(root / "encoder", 0)
    monkeypatch.setattr(weights, "BASES", {"embedded": old})
    checkpoint = read_checkpoint(old)
    tuned = {name: value + np.float32(0.01) for name, value in checkpoint.weights.items()}
    folder = root / "checkpoints" / "task"
    write_compact(folder, CONFIG, tuned, checkpoint.tokenizer, 0.01, "embedded")
    (folder / "card.json").write_text('{"title": "Task", "weights": {"base": {"name": "embedded", "sha256": "?"}}}')
    refresh(root)
    before, start = read_checkpoint(folder).weights, tmp_path / "start"
    shutil.copytree(root, start)

    for writes in range(100):
        shutil.rmtree(root)
        shutil.copytree(start, root)
        interrupted = stopped(new, root, writes)
        encoders = {path.name: path for path in (root / "encoders").glob("embedded-*")}
        monkeypatch.setattr(weights, "BASES", {"embedded": root / "encoder", **encoders})
        actual = read_checkpoint(folder).weights
        assert all(np.abs(actual[name] - value).max() <= STEP for name, value in before.items()), writes
        adopt(new, root)
        assert fingerprint(read_checkpoint(root / "encoder").weights) == fingerprint(read_checkpoint(new).weights)
        (earlier_folder,) = (root / "encoders").iterdir()
        base = read_delta(earlier_folder).base
        assert base is not None and base.name == "embedded"
        assert verify(root) == []
        if not interrupted:
            break
    assert writes > 8
