"""A full disk or a folder without permission: one line, nothing half written, and the same command resumes."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.framework import import_paddlenlp

from ..command_line import OneLine
from ..places import Place, copied, small_files
from ..tiny import assert_same_weights

STAGES = ("data", "fine-tune", "export", "evaluate", "publish")


@pytest.mark.parametrize(
    ("last_finished", "until", "limit"),
    [
        ("none", "finetune", 1_000),
        ("data", "finetune", 100_000),
        ("data", "finetune", 200_000),
        ("fine-tune", "export", 50_000),
        ("fine-tune", "export", 100_000),
        ("fine-tune", "export", 140_000),
    ],
    ids=["data", "best weights", "state", "static graph", "static weights", "ONNX"],
)
def test_a_full_disk(
    finished: Place, tmp_path: Path, one_line: OneLine, last_finished: str, until: str, limit: int
) -> None:
    place = copied(finished, tmp_path)
    position = STAGES.index(last_finished) if last_finished != "none" else -1
    for stage in STAGES[position + 1 :]:
        shutil.rmtree(place.cache / "topics" / stage)
    with small_files(limit):
        code = place.build("--until", until)
    line = one_line(code).lower()
    assert "file too large" in line or "disk is full" in line
    assert not place.output.exists()
    assert place.build("--until", until) == 0
    ours, theirs = (read_checkpoint(p.stage("fine-tune") / "best").weights for p in (place, finished))
    assert_same_weights(ours, theirs)


def test_a_full_disk_while_publishing(finished: Place, tmp_path: Path, one_line: OneLine) -> None:
    place = copied(finished, tmp_path)
    with small_files(100_000):
        one_line(place.build(), "File too large")
    assert list(place.output.iterdir()) == []
    assert [p.name for p in tmp_path.iterdir() if p.name.startswith(".")] == []
    assert place.build() == 0
    assert sorted(p.name for p in place.output.iterdir())[0] == "topics"


@pytest.mark.parametrize(("stage", "file"), [("data", "train.jsonl"), ("evaluate", "wrong.jsonl")])
def test_no_space_left(finished: Place, tmp_path: Path, one_line: OneLine, stage: str, file: str) -> None:
    """/dev/full answers as a full disk does."""
    place = copied(finished, tmp_path)
    key = place.stage(stage)
    shutil.rmtree(key)
    partial = key.with_name(f"{key.name}.partial")
    partial.mkdir()
    (partial / file).symlink_to("/dev/full")
    one_line(place.build("--until", "evaluate"), "the disk is full; free some space and run the same command again")
    (partial / file).unlink()
    assert place.build("--until", "evaluate") == 0


@pytest.fixture
def open_place(place: Place, finished: Place) -> Iterator[Place]:
    """A finished build in a folder that every user may read and write."""
    import_paddlenlp()  # it makes folders in the home folder
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        shutil.copytree(finished.cache, root / "cache")
        shutil.copytree(place.data_dir, root / "data")
        shutil.copytree(place.base_model, root / "base")
        shutil.copyfile(place.tasks_file, root / "tasks.toml")
        for path in root.rglob("*"):
            path.chmod(0o777 if path.is_dir() else 0o666)
        root.chmod(0o777)
        yield Place(root / "tasks.toml", root / "data", root / "base", root)


@contextlib.contextmanager
def as_a_plain_user() -> Iterator[None]:
    """Permission bits do not bind root."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)


def test_no_permission(open_place: Place, one_line: OneLine) -> None:
    place, locked = open_place, open_place.root / "locked"
    locked.mkdir()
    locked.chmod(0o555)
    with as_a_plain_user():
        for option in ("--cache", "--output"):
            code = place.build(option, str(locked / "x"))
            one_line(code, str(locked / "x"), "no permission to write; choose another --cache or --output")
    assert list(locked.iterdir()) == []
    locked.chmod(0o777)
    with as_a_plain_user():
        assert place.build("--output", str(locked / "x")) == 0


def test_a_repository_in_a_folder_that_is_not_ours(open_place: Place) -> None:
    """A mounted volume: it can be written, its parent cannot."""
    place, parent = open_place, open_place.root / "mnt"
    (parent / "models").mkdir(parents=True)
    (parent / "models").chmod(0o777)
    parent.chmod(0o555)
    with as_a_plain_user():
        assert place.build("--output", str(parent / "models")) == 0
    parent.chmod(0o755)
    names = sorted(p.name for p in (parent / "models").iterdir())
    assert names == ["topics", "topics_encoder_fp32", "topics_fp32", "topics_postprocess", "topics_tokenizer"]


def test_a_path_under_a_file(place: Place, tmp_path: Path, one_line: OneLine) -> None:
    file = tmp_path / "file"
    file.write_text("")
    one_line(place.build("--cache", str(file / "cache")), "file/cache", "Not a directory")
