"""`--base-model moved:TASK`: a checkpoint that ships, on the encoder that came after the one it was trained from."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from builders import base_models, models
from builders.adopt import adopt, leaning_on
from builders.checksums import refresh
from builders.config import ASSETS
from builders.errors import CheckpointError
from builders.models import TASK_OPTIONS, find_base_model
from builders.weights import BASES, read_checkpoint, write_checkpoint

TABLE = "ernie.embeddings.word_embeddings.weight"
TASK = leaning_on("embedded")[0].name


@pytest.fixture
def assets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the assets of one task, which the builders take for their own."""
    root = tmp_path / "assets"
    for name in ("encoder", "vocab", f"checkpoints/{TASK}"):
        shutil.copytree(ASSETS / name, root / name)
    refresh(root)
    monkeypatch.setattr(base_models, "ASSETS", root)
    monkeypatch.setattr(models, "ASSETS", root)
    monkeypatch.setattr(models, "EMBEDDED", root / "encoder")
    monkeypatch.setitem(BASES, "embedded", root / "encoder")
    return root


def adopt_other(
    assets: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, rows: int | None = None, swapped: bool = False
) -> None:
    """Make an encoder with other weights the embedded one.

    rows: of its positions, where it has fewer; swapped: the last two entries of its vocabulary have changed places.
    """
    old = read_checkpoint(ASSETS / "encoder")
    other = {name: value + np.float32(0.25) for name, value in old.weights.items()}
    if rows:
        name = "ernie.embeddings.position_embeddings.weight"
        other[name] = other[name][:rows]
    write_checkpoint(folder, {**old.config, "max_position_embeddings": rows or 512}, other, old.vocabulary)
    shutil.copy(ASSETS / "encoder" / "mlm_head.safetensors", folder)
    (folder / "card.json").write_text('{"title": "Another encoder"}')
    if swapped:
        *lines, one, other_one = (folder / "vocab.txt").read_text(encoding="utf-8").splitlines()
        (folder / "vocab.txt").write_text("\n".join([*lines, other_one, one]) + "\n", encoding="utf-8")
    adopt(folder, assets)
    for path in (assets / "encoders").iterdir():
        monkeypatch.setitem(BASES, path.name, path)


def test_what_was_learnt_moves_with_the_encoder(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = read_checkpoint(ASSETS / "checkpoints" / TASK)
    adopt_other(assets, tmp_path / "other", monkeypatch)
    moved = find_base_model(f"moved:{TASK}")
    assert moved.name == f"moved:{TASK}"
    assert not {"id2label", TASK_OPTIONS} & moved.config.keys()
    assert moved.weights.keys() == before.weights.keys()
    np.testing.assert_allclose(moved.weights[TABLE], before.weights[TABLE] + 0.25, atol=1e-3)  # stored as float16
    head = [name for name in moved.weights if not name.startswith("ernie.")]
    assert head
    assert all((moved.weights[name] == before.weights[name]).all() for name in head)


def test_on_the_encoder_of_now_it_is_the_checkpoint_itself(assets: Path) -> None:
    moved, own = find_base_model(f"moved:{TASK}"), read_checkpoint(assets / "checkpoints" / TASK)
    assert all((moved.weights[name] == value).all() for name, value in own.weights.items())


def test_what_cannot_be_moved(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(CheckpointError, match="moved:poems: no such checkpoint ships"):
        find_base_model("moved:poems")
    adopt_other(assets, tmp_path / "short", monkeypatch, rows=256)
    with pytest.raises(CheckpointError, match=r"another shape than before .*position"):
        find_base_model(f"moved:{TASK}")


def test_another_vocabulary(assets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    adopt_other(assets, tmp_path / "swapped", monkeypatch, swapped=True)
    with pytest.raises(CheckpointError, match="another vocabulary than before"):
        find_base_model(f"moved:{TASK}")
