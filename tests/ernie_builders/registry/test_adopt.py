"""Another embedded encoder: shipped checkpoints answer as before; the old encoder goes when nothing depends on it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints import checkpoint as weights
from ernie_builders.checkpoints.checkpoint import read_checkpoint, write_checkpoint, write_compact
from ernie_builders.checkpoints.checksums import refresh, verify
from ernie_builders.config.tasks import ASSETS
from ernie_builders.errors import CheckpointError
from ernie_builders.registry import cli as shipped
from ernie_builders.registry.adopt import adopt
from ernie_builders.registry.earlier import STEP, drop_unused, leaning_on
from ernie_runtime.text.tokenizer_file import load_tokenizer

TASKS = ("cluewsc2020", "stsb_zh")


@pytest.fixture(scope="module")
def some_assets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Some of the assets, the checkpoints as differences from the embedded encoder; writing them takes seconds."""
    root = tmp_path_factory.mktemp("adopt") / "assets"
    for name in ("encoder", "vocab", *(f"checkpoints/{task}" for task in TASKS)):
        shutil.copytree(ASSETS / name, root / name)
    for task in TASKS:
        folder, checkpoint = root / "checkpoints" / task, read_checkpoint(ASSETS / "checkpoints" / task)
        write_compact(folder, checkpoint.config, checkpoint.weights, checkpoint.tokenizer, 0.02, "embedded")
        card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
        card["weights"]["base"]["name"] = "embedded"
        (folder / "card.json").write_text(json.dumps(card))
    refresh(root)
    return root


@pytest.fixture
def assets(some_assets: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(some_assets, tmp_path / "assets"))


@pytest.fixture(scope="module")
def noisy_encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An encoder of the same shape and vocabulary, with other weights."""
    embedded, generator = read_checkpoint(ASSETS / "encoder"), np.random.default_rng(0)
    noisy = {n: v + 0.01 * generator.standard_normal(v.shape, np.float32) for n, v in embedded.weights.items()}
    folder = tmp_path_factory.mktemp("noisy") / "new"
    write_checkpoint(folder, embedded.config, noisy, embedded.tokenizer, bits=16)
    shutil.copy(ASSETS / "encoder" / "mlm_head.safetensors", folder)
    (folder / "card.json").write_text('{"title": "Another encoder"}')
    return folder


@pytest.fixture
def new_encoder(noisy_encoder: Path, tmp_path: Path) -> Path:
    """A copy to change."""
    return Path(shutil.copytree(noisy_encoder, tmp_path / "new"))


def bases(root: Path) -> dict[str, Path]:
    """The bases that a process started now would have."""
    return {"embedded": root / "encoder", **{path.name: path for path in (root / "encoders").glob("*")}}


def test_checkpoints_answer_as_before(assets: Path, new_encoder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {task: read_checkpoint(assets / "checkpoints" / task) for task in TASKS}
    lines = adopt(new_encoder, assets)
    (earlier_name,) = [folder.name for folder in (assets / "encoders").iterdir()]
    assert f"2 checkpoints lean on the encoder before, which stays as encoders/{earlier_name}" in lines[0]
    assert verify(assets) == []
    assert (assets / "encoders" / earlier_name / "delta.xz").stat().st_size < 10 << 20, (
        "two thirds of the encoder in full"
    )
    monkeypatch.setattr(weights, "BASES", bases(assets))
    for task in TASKS:
        checkpoint = read_checkpoint(assets / "checkpoints" / task)
        assert all(
            np.abs(checkpoint.weights[name] - value).max() <= STEP for name, value in before[task].weights.items()
        )
        card = json.loads((assets / "checkpoints" / task / "card.json").read_text(encoding="utf-8"))
        assert card["weights"]["base"]["name"] == earlier_name
    ours, theirs = (read_checkpoint(folder).weights for folder in (assets / "encoder", new_encoder))
    assert all((ours[name] == value).all() for name, value in theirs.items())
    assert not (assets / "encoder" / "README.md").exists(), "the card of another encoder"

    for number, task in enumerate(TASKS):  # trained again, from the new one
        assert drop_unused(assets) == []
        folder, checkpoint = assets / "checkpoints" / task, before[task]
        write_compact(
            folder,
            checkpoint.config,
            checkpoint.weights,
            load_tokenizer(assets / "encoder" / "vocab.txt"),
            0.05,
            "embedded",
        )
        refresh(assets, folder)
        assert len(leaning_on("embedded", assets)) == number + 1
    (line,) = drop_unused(assets)
    assert f"{earlier_name}: removed, no checkpoint leans on it any more" in line
    assert not (assets / "encoders").exists()
    assert verify(assets) == []


def test_a_third_encoder_while_checkpoints_depend_on_the_first(
    assets: Path, new_encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {task: read_checkpoint(assets / "checkpoints" / task).weights for task in TASKS}
    adopt(new_encoder, assets)
    monkeypatch.setattr(weights, "BASES", bases(assets))
    first, second = TASKS
    write_compact(
        assets / "checkpoints" / second,
        read_checkpoint(new_encoder).config,
        before[second],
        load_tokenizer(new_encoder / "vocab.txt"),
        0.05,
        "embedded",
    )
    refresh(assets, assets / "checkpoints" / second)
    second_weights = read_checkpoint(assets / "checkpoints" / second).weights

    new_checkpoint = read_checkpoint(new_encoder)
    third = tmp_path / "third"
    shutil.copytree(new_encoder, third)
    write_checkpoint(
        third,
        new_checkpoint.config,
        {n: v * np.float32(1.01) for n, v in new_checkpoint.weights.items()},
        new_checkpoint.tokenizer,
        16,
    )
    lines = adopt(third, assets)
    assert len([line for line in lines if "1 checkpoints lean" in line]) == 2
    assert len(list((assets / "encoders").iterdir())) == 2
    assert verify(assets) == []
    monkeypatch.setattr(weights, "BASES", bases(assets))
    for task, expected, bound in ((first, before[first], 2 * STEP), (second, second_weights, STEP)):
        actual = read_checkpoint(assets / "checkpoints" / task).weights
        assert all(np.abs(actual[name] - value).max() <= bound for name, value in expected.items())


def test_the_same_weights_again(assets: Path, new_encoder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """After an interruption, or with another card."""
    assert shipped.main(["--assets", str(assets), "adopt", str(new_encoder)]) == 0
    (new_encoder / "card.json").write_text('{"title": "A better card"}')
    capsys.readouterr()
    assert shipped.main(["--assets", str(assets), "adopt", str(new_encoder)]) == 0
    assert "its weights are those of the embedded encoder already" in capsys.readouterr().out
    assert "A better card" in (assets / "encoder" / "card.json").read_text()
    assert verify(assets) == []


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("mlm_head.safetensors", "no mlm_head.safetensors"),
        ("card.json", "has no card"),
        ("vocab.txt", "no vocab.txt"),
        ("model.safetensors", "no weights"),
        ("config.json", "no config.json"),
    ],
)
def test_an_incomplete_encoder_changes_nothing(assets: Path, new_encoder: Path, missing: str, message: str) -> None:
    (new_encoder / missing).unlink()
    with pytest.raises(CheckpointError, match=message):
        adopt(new_encoder, assets)
    assert verify(assets) == []
    assert read_checkpoint(assets / "encoder").config.hidden_size == 312
    assert not (assets / "encoders").exists()
