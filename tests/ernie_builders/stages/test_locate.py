"""Archives of data: unpacked once each, and never taken for one another."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path

import pytest

from ernie_builders.config.tasks import load_tasks
from ernie_builders.errors import DataError
from ernie_builders.stages.locate import data_folder


def archive(folder: Path, text: str) -> Path:
    """A data directory with tnews.tar.xz, older than anything."""
    folder.mkdir()
    with tarfile.open(folder / "tnews.tar.xz", "w:xz") as tar:
        entry = tarfile.TarInfo("tnews/dev.json")
        entry.size = len(text)
        tar.addfile(entry, io.BytesIO(text.encode()))
    os.utime(folder / "tnews.tar.xz", (0, 0))
    return folder


def test_each_archive_is_its_own(tmp_path: Path) -> None:
    task = load_tasks()["tnews"]
    for name in ("one", "two", "one again"):
        text = name.removesuffix(" again")
        folder, split = data_folder(task.data, archive(tmp_path / name, text), "full", tmp_path / "cache")
        assert folder is not None and split == "dev"
        assert (folder / "dev.json").read_text() == text
    assert len(list((tmp_path / "cache" / "data").iterdir())) == 2


def test_a_broken_archive(tmp_path: Path) -> None:
    source = archive(tmp_path / "broken", "x")
    path = source / "tnews.tar.xz"
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(DataError, match=r"tnews\.tar\.xz: cannot be unpacked"):
        data_folder(load_tasks()["tnews"].data, source, "full", tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.new"))
