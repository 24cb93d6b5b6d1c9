"""Shipped files: their checksums and cards, and a refusal to load a file that differs from its checksum."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from ernie_builders.checkpoints import checkpoint as weights
from ernie_builders.checkpoints import checksums
from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.checkpoints.checksums import SUMS, check_shipped, read_sums, refresh, verify
from ernie_builders.checkpoints.random_encoder import find_vocabulary
from ernie_builders.checkpoints.weight_formats import WEIGHT_FILES
from ernie_builders.config.tasks import ASSETS
from ernie_builders.errors import CheckpointError
from ernie_builders.registry import cli as shipped

ENCODER = next(name for name in WEIGHT_FILES if (ASSETS / "encoder" / name).is_file())


def test_the_assets_are_whole() -> None:
    assert verify() == []


@pytest.fixture
def assets(tmp_path: Path) -> Path:
    """A copy of some of the assets, with its checksums."""
    for name in ("encoder", "vocab", "checkpoints/iflytek", "checkpoints/chnsenticorp"):
        shutil.copytree(ASSETS / name, tmp_path / name)
    refresh(tmp_path)
    return tmp_path


def flip(path: Path, place: int = -100) -> None:
    """Change one bit."""
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


@pytest.mark.parametrize(
    "name", [f"encoder/{ENCODER}", "checkpoints/iflytek/delta.xz", "vocab/ernie_2.0_en.txt", "encoder/vocab.txt"]
)
def test_a_flipped_bit_is_reported(assets: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert shipped.main(["--assets", str(assets), "verify"]) == 0
    assert "every checksum is right" in capsys.readouterr().out
    flip(assets / name)
    assert shipped.main(["--assets", str(assets), "verify", "--json"]) == 1
    output = capsys.readouterr()
    (line,) = output.err.splitlines()
    assert [f"ernie-triton assets: {fault}" for fault in json.loads(output.out)["faults"]] == [line]
    assert f"{assets / name}: damaged or exchanged" in line
    assert "ernie-triton assets refresh" in line
    assert shipped.main(["--assets", str(assets), "refresh"]) == 0
    assert shipped.main(["--assets", str(assets), "verify"]) == 0


def test_each_fault_has_its_line(assets: Path) -> None:
    (assets / "checkpoints/iflytek/card.json").unlink()
    (assets / "checkpoints/chnsenticorp/delta.xz").unlink()
    (assets / "encoder/more.safetensors").write_bytes(bytes(16_000_001))
    (assets / "vocab/README.md").write_text("nothing named")
    faults = verify(assets)
    assert len(faults) == 6, faults
    for message in (
        "checkpoints/chnsenticorp/delta.xz: missing, but SHA256SUMS lists it",
        "checkpoints/iflytek/delta.xz: has no card",
        "encoder/more.safetensors: has no entry in SHA256SUMS",
        "encoder/more.safetensors: has no card",
        "encoder/more.safetensors: is larger than 16 MB",
        "vocab/ernie_2.0_en.txt: has no card",
    ):
        assert sum(message in fault for fault in faults) == 1, message


def test_faulty_cards(assets: Path) -> None:
    card = assets / "checkpoints/chnsenticorp/card.json"
    for text, message in (("[]", "has no title: not a card"), ("{", "not JSON")):
        card.write_text(text)
        (fault,) = verify(assets)
        assert message in fault and str(card) in fault


@pytest.mark.parametrize(
    ("text", "message"),
    [("abc  encoder/vocab.txt\n", r"SHA256SUMS:1: expected SHA256 and PATH"), (None, "no such file")],
)
def test_checksums_that_cannot_be_read(assets: Path, text: str | None, message: str) -> None:
    (assets / SUMS).unlink()
    if text is not None:
        (assets / SUMS).write_text(text)
    (fault,) = verify(assets)
    assert message in fault
    with pytest.raises(CheckpointError, match=message):
        read_sums(assets)


def test_list(assets: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert shipped.main(["--assets", str(assets), "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(read_sums(assets))
    title = json.loads((assets / "checkpoints/iflytek/card.json").read_text(encoding="utf-8"))["title"]
    assert any("checkpoints/iflytek/delta.xz" in line and line.endswith(title) for line in lines)
    assert shipped.main(["--assets", str(assets), "list", "--json"]) == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert {file["file"]: file["sha256"] for file in listed} == read_sums(assets)
    assert shipped.main(["--assets", str(assets / "nowhere"), "verify"]) == 1


def test_a_damaged_asset_is_not_loaded(assets: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checksums, "ASSETS", assets)
    monkeypatch.setattr(checksums.check_shipped, "__defaults__", (assets,))
    monkeypatch.setattr(checksums.ships, "__defaults__", (assets,))
    monkeypatch.setattr(weights, "BASES", {"embedded": assets / "encoder"})
    check_shipped(assets / "encoder")
    config = assets / "checkpoints/iflytek/config.json"
    config.write_bytes(config.read_bytes().replace(b'"vocab_size"', b'"vocab_size" '))
    with pytest.raises(CheckpointError, match=r"iflytek/config\.json: damaged or exchanged"):
        read_checkpoint(assets / "checkpoints/iflytek")
    flip(assets / "encoder" / ENCODER)
    with pytest.raises(CheckpointError, match=r"encoder\.safetensors\.xz: damaged or exchanged"):
        read_checkpoint(assets / "encoder")
    flip(assets / "vocab/ernie_2.0_en.txt")
    with pytest.raises(CheckpointError, match=r"ernie_2\.0_en\.txt: damaged or exchanged"):
        find_vocabulary(str(assets / "vocab/ernie_2.0_en.txt"), "random")
