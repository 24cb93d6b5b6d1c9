"""The compact form on disk is read like any other checkpoint; faulty files are refused in one clear line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints import checkpoint as weights_module
from ernie_builders.checkpoints.checkpoint import Checkpoint, read_checkpoint, write_checkpoint, write_compact
from ernie_builders.checkpoints.delta_files import HEADER, PACKED
from ernie_builders.checkpoints.weight_formats import from_hugging_face
from ernie_builders.config.tasks import ASSETS, load_tasks
from ernie_builders.errors import CheckpointError
from ernie_builders.filesystem import sha256_of
from ernie_builders.kinds import get_builder_kind
from ernie_runtime.text.tokenizer import Tokenizer
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..tiny import CONFIG, HIDDEN, Weights, random_hugging_face, write_hugging_face

STEP = 0.02
OPTIONS = {"thresholds": [0.5, 0.25], "names": {"上海": "shanghai"}}


@pytest.fixture
def base(tmp_path: Path, vocabulary: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The one encoder that ships, for this test."""
    folder = write_hugging_face(tmp_path / "encoder", random_hugging_face(), CONFIG, vocabulary)
    monkeypatch.setattr(weights_module, "BASES", {"tiny": folder})
    return folder


@pytest.fixture
def trained(base: Path) -> Weights:
    """The encoder's weights, all changed a little, and two heads."""
    generator = np.random.default_rng(3)
    weights = read_checkpoint(base).weights
    weights |= {"intent.weight": np.zeros((HIDDEN, 4), np.float32), "slots.weight": np.ones((HIDDEN, 9), np.float32)}
    return {name: value + 0.01 * generator.standard_normal(value.shape, np.float32) for name, value in weights.items()}


@pytest.fixture
def folder(tmp_path: Path, trained: Weights, tokenizer: Tokenizer) -> Path:
    """A checkpoint in the compact form."""
    write_compact(tmp_path / "c", {**CONFIG, "task_options": OPTIONS}, trained, tokenizer, STEP, "tiny")
    return tmp_path / "c"


def refusal(folder: Path) -> str:
    with pytest.raises(CheckpointError) as raised:
        read_checkpoint(folder)
    assert "\n" not in str(raised.value)
    return str(raised.value)


def change_header(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    change(header)
    (folder / HEADER).write_text(json.dumps(header), encoding="utf-8")


def test_a_compact_checkpoint_is_read_like_any_other(folder: Path, base: Path, trained: Weights) -> None:
    checkpoint = read_checkpoint(folder)
    assert checkpoint.weights.keys() == trained.keys()
    for name, value in trained.items():
        assert checkpoint.weights[name].dtype == np.float32
        assert np.abs(checkpoint.weights[name] - value).max() <= 1.4 * STEP / 2 + 1e-6, name
    expected = {k: v for k, v in CONFIG.items() if k != "model_type"} | {"task_options": OPTIONS}
    assert checkpoint.config.to_json() == expected
    assert checkpoint.tokenizer.fingerprint == sha256_of(base / "vocab.txt")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", HEADER, PACKED]


def test_the_packed_size(folder: Path, trained: Weights) -> None:
    """Less than a third of a byte per weight, for changes of this size and a tiny model's many fine steps."""
    size = (folder / PACKED).stat().st_size
    assert size < sum(value.size for value in trained.values()) / 3


def test_writing_again_gives_the_same_bytes(
    folder: Path, trained: Weights, tokenizer: Tokenizer, tmp_path: Path
) -> None:
    write_compact(tmp_path / "d", {**CONFIG, "task_options": OPTIONS}, trained, tokenizer, STEP, "tiny")
    for path in folder.iterdir():
        assert (tmp_path / "d" / path.name).read_bytes() == path.read_bytes()


def test_a_checkpoint_without_a_base(tmp_path: Path, trained: Weights, tokenizer: Tokenizer, base: Path) -> None:
    """Trained from a base that does not ship: it holds all weights and refers only to a vocabulary that ships."""
    write_compact(tmp_path / "c", CONFIG, trained, tokenizer, STEP, None)
    assert json.loads((tmp_path / "c" / HEADER).read_text())["base"] is None
    (base / "model.safetensors").unlink()
    checkpoint = read_checkpoint(tmp_path / "c")
    for name, value in trained.items():
        assert np.abs(checkpoint.weights[name] - value).max() <= 1.4 * STEP / 2 + 1e-6, name


def test_a_vocabulary_that_does_not_ship_is_stored(tmp_path: Path, trained: Weights, vocabulary: Path) -> None:
    own_vocabulary = tmp_path / "other.txt"
    lines = vocabulary.read_text(encoding="utf-8").split("\n")
    own_vocabulary.write_text("\n".join([*lines[:5], "新", *lines[6:]]), encoding="utf-8")
    write_compact(tmp_path / "c", CONFIG, trained, load_tokenizer(own_vocabulary), STEP, "tiny")
    assert read_checkpoint(tmp_path / "c").tokenizer.token(5) == "新"
    assert (tmp_path / "c" / "vocab.txt").read_bytes() == own_vocabulary.read_bytes()
    (tmp_path / "c" / "vocab.txt").unlink()
    assert refusal(tmp_path / "c").endswith("c: no vocab.txt and no tokenizer.json")


def test_a_vocabulary_that_ships_without_an_encoder(tmp_path: Path, tokenizer: Tokenizer) -> None:
    english = ASSETS / "vocab" / "ernie_2.0_en.txt"
    config = {**CONFIG, "vocab_size": len(english.read_bytes().split(b"\n"))}
    weights = from_hugging_face(random_hugging_face(config=config))
    write_compact(tmp_path / "c", config, weights, load_tokenizer(english), STEP, None)
    assert read_checkpoint(tmp_path / "c").tokenizer.fingerprint == sha256_of(english)
    assert not (tmp_path / "c" / "vocab.txt").exists()


def test_each_form_replaces_the_other(folder: Path, trained: Weights, tokenizer: Tokenizer) -> None:
    write_checkpoint(folder, CONFIG, trained, tokenizer)
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors", "vocab.txt"]
    np.testing.assert_array_equal(read_checkpoint(folder).weights["slots.weight"], trained["slots.weight"])
    write_compact(folder, CONFIG, trained, tokenizer, STEP, "tiny")
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", HEADER, PACKED]


def test_a_changed_or_missing_base(folder: Path, base: Path, vocabulary: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An encoder is known by its weights: under another name it serves as well."""
    other = base.with_name("elsewhere")
    shutil.move(base, other)
    write_hugging_face(base, random_hugging_face(seed=8), CONFIG, vocabulary)
    message = refusal(folder)
    assert message.startswith(f"{folder}: holds what training changed in the encoder tiny ")
    assert message.endswith(", which is none of those that ship (tiny): put that encoder back, or train again")
    monkeypatch.setattr(weights_module, "BASES", {"tiny": base, "older": other})
    assert read_checkpoint(folder).weights
    shutil.rmtree(base)
    assert read_checkpoint(folder).weights
    change_header(folder, lambda header: header["base"].update(name="ernie-9"))
    assert read_checkpoint(folder).weights


def test_a_changed_vocabulary(folder: Path, base: Path) -> None:
    path = base / "vocab.txt"
    path.write_bytes(path.read_bytes().replace(b"[MASK]", b"[mask]"))
    message = refusal(folder)
    assert message.startswith(f"{folder}: needs the vocabulary tiny ")
    assert message.endswith(", which is none of those that ship: put that file back")


def test_damaged_files(folder: Path) -> None:
    data = (folder / PACKED).read_bytes()
    (folder / PACKED).write_bytes(data[:-9])
    assert refusal(folder) == (
        f"{folder / PACKED}: has {len(data) - 9:,} bytes, {HEADER} tells of {len(data):,}; copy the checkpoint again"
    )
    middle = len(data) // 2
    (folder / PACKED).write_bytes(data[:middle] + bytes([data[middle] ^ 1]) + data[middle + 1 :])
    assert refusal(folder) == (
        f"{folder / PACKED}: damaged, its hash is not the one in {HEADER}; copy the checkpoint again"
    )
    (folder / PACKED).unlink()
    assert refusal(folder) == f"{folder / PACKED}: no such file, but {HEADER} is there"


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda h: h.update(format=2), "has format 2, this version reads 1"),
        (lambda h: h.pop("tensors"), "not a header of packed weights (KeyError: 'tensors')"),
        (lambda h: h.update(base="tiny"), "not a header of packed weights (TypeError: "),
        (lambda h: h["tensors"].append(["w"]), "not a header of packed weights (TypeError: "),
        (lambda h: h["tensors"].append(["w", [-1], 0.1, 0]), "tensor w has shape [-1], step 0.1, sorted rows 0"),
        (lambda h: h["tensors"].append(["w", [1], 0, 0]), "tensor w has shape [1], step 0, sorted rows 0"),
        (lambda h: h["tensors"].append(["w", [], 0.1, 9]), "tensor w has no rows to be sorted"),
        (lambda h: h["tensors"].append(["w", [1 << 20, 1 << 20], 0.1, 0]), "tells of more than 536,870,912 weights"),
    ],
)
def test_an_inconsistent_header(folder: Path, change: Callable[[dict[str, Any]], object], expected: str) -> None:
    change_header(folder, change)
    message = refusal(folder)
    assert message.startswith(f"{folder / HEADER}: ")
    assert expected in message


def test_a_header_that_is_not_json(folder: Path) -> None:
    (folder / HEADER).write_bytes(b"\xff")
    assert refusal(folder).startswith(f"{folder / HEADER}: not a header of packed weights (UnicodeDecodeError: ")
    (folder / HEADER).write_text("[]")
    assert refusal(folder).startswith(f"{folder / HEADER}: not a header of packed weights (TypeError: ")


def test_a_header_of_other_tensors(folder: Path) -> None:
    change_header(folder, lambda header: header["tensors"].pop())
    assert refusal(folder).startswith(f"{folder / PACKED}: not the weights that the header beside it tells of (")


@pytest.mark.parametrize(
    "folder", sorted(path for path in (ASSETS / "checkpoints").iterdir() if path.is_dir()), ids=lambda path: path.name
)
def test_the_checkpoints_that_ship(folder: Path) -> None:
    """Every checkpoint belongs to the encoder that ships, holds no second vocabulary, and its card tells its size."""
    checkpoint = read_checkpoint(folder)
    assert isinstance(checkpoint, Checkpoint)
    of_tasks = [task for task in load_tasks().values() if task.checkpoint == f"checkpoints/{folder.name}"]
    assert of_tasks
    assert checkpoint.has_head == get_builder_kind(of_tasks[0].kind).needs_head
    assert not (folder / "vocab.txt").exists()
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert card["weights"]["bytes"] == (folder / PACKED).stat().st_size < 2.5e6
    assert card["evaluations"][0]["rows"] > 0
