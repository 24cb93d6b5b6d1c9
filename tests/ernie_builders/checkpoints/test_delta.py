"""The compact form, which is only read: what ships in it, and faulty files, refused in one clear line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.checkpoints import checkpoint as weights_module
from ernie_builders.checkpoints.checkpoint import Checkpoint, read_checkpoint
from ernie_builders.checkpoints.delta_files import HEADER, PACKED
from ernie_builders.config.tasks import ASSETS, load_tasks
from ernie_builders.errors import CheckpointError
from ernie_builders.kinds import get_builder_kind

COMPACT = sorted(path.parent for path in (ASSETS / "checkpoints").glob(f"*/{HEADER}"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of a checkpoint that ships."""
    shutil.copytree(COMPACT[0], tmp_path / "c")
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


def test_an_encoder_is_known_by_its_weights(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under another name it serves as well."""
    before = read_checkpoint(folder).weights
    change_header(folder, lambda header: header["base"].update(name="ernie-9"))
    after = read_checkpoint(folder).weights
    assert all((after[name] == value).all() for name, value in before.items())
    monkeypatch.setattr(weights_module, "BASES", {})
    message = refusal(folder)
    assert message.startswith(f"{folder}: holds what training changed in the encoder ernie-9 ")
    assert message.endswith(", which is none of those that ship (): put that encoder back, or train again")


def test_a_vocabulary_that_does_not_ship(folder: Path) -> None:
    change_header(folder, lambda header: header["vocabulary"].update(sha256="0" * 64))
    assert refusal(folder).endswith(" 000000000000, which is none of those that ship: put that file back")


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


@pytest.mark.parametrize("folder", COMPACT, ids=lambda path: path.name)
def test_the_checkpoints_that_ship(folder: Path) -> None:
    """Every checkpoint belongs to an encoder that ships, holds no second vocabulary, and its card tells its size."""
    checkpoint = read_checkpoint(folder)
    assert isinstance(checkpoint, Checkpoint)
    of_tasks = [task for task in load_tasks().values() if task.checkpoint == f"checkpoints/{folder.name}"]
    assert of_tasks
    assert checkpoint.has_head == get_builder_kind(of_tasks[0].kind).needs_head
    assert not (folder / "vocab.txt").exists()
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    assert card["weights"]["bytes"] == (folder / PACKED).stat().st_size < 2.5e6
    assert card["evaluations"][0]["rows"] > 0
