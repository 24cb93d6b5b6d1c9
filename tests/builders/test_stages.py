"""Stages are done once, go on after a kill to the same result, and fail in one line."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.config import load_tasks
from builders.errors import BuildError
from builders.framework import import_paddlenlp
from builders.stages import Context, Done, run_stage
from builders.weights import Checkpoint, read_checkpoint

from .conftest import Place, small_files, topic_rows, write_topics

OneLine = Callable[..., str]
STAGES = ("data", "fine-tune", "export", "evaluate", "publish")

SLOW_BUILD = """
import signal, sys, time
signal.signal(signal.SIGINT, signal.default_int_handler)
from builders import build_all, train
train.SAVE_SECONDS = 0
step = train.Trainer._step
train.Trainer._step = lambda *arguments: (time.sleep(0.05), step(*arguments))[1]
sys.exit(build_all.main(sys.argv[1:]))
"""


def copied(finished: Place, target: Path) -> Place:
    """A finished build that may be changed."""
    shutil.copytree(finished.cache, target / "cache")
    return replace(finished, root=target)


def outcomes(out: str) -> dict[str, str]:
    """Stage -> "reused" or "done", from a build's lines."""
    found = {}
    for line in out.splitlines():
        stage = line.partition("] ")[2].partition(":")[0]
        if stage in STAGES and line.endswith(")"):
            found[stage] = "reused" if line.endswith("(reused)") else "done"
    return found


def files(folder: Path) -> dict[Path, tuple[int, int]]:
    """Every file with its inode and time of change; lock files are opened each time."""
    return {p: (p.stat().st_ino, p.stat().st_mtime_ns) for p in folder.rglob("*") if p.suffix != ".lock"}


def test_a_second_run_does_nothing_again(finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = copied(finished, tmp_path)
    assert place.build() == 0
    expected = dict.fromkeys(STAGES, "reused") | {"publish": "done"}  # another repository
    assert outcomes(capsys.readouterr().out) == expected
    before = files(place.root)
    assert place.build() == 0
    printed = capsys.readouterr().out
    assert outcomes(printed) == dict.fromkeys(STAGES, "reused")
    assert "started" not in printed
    assert files(place.root) == before


def test_a_hyperparameter_redoes_fine_tuning_only(
    finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = copied(finished, tmp_path)
    assert place.build("--set", "epochs=0.1", "--until", "finetune") == 0
    assert outcomes(capsys.readouterr().out) == {"data": "reused", "fine-tune": "done"}
    assert place.build("--set", "epochs=2", "--until", "finetune") == 0  # what the tasks file says
    assert outcomes(capsys.readouterr().out) == {"data": "reused", "fine-tune": "reused"}
    assert place.build("--seed", "1", "--set", "epochs=0.1", "--until", "finetune") == 0
    assert outcomes(capsys.readouterr().out) == {"data": "reused", "fine-tune": "done"}


def test_changed_data_is_seen(
    place: Place, tmp_path: Path, characters: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(place.data_dir, tmp_path / "data")
    mine = replace(place, data_dir=tmp_path / "data")
    for rows, expected in ((5, "done"), (5, "reused"), (6, "done")):
        write_topics(tmp_path / "data" / "topics" / "dev.json", topic_rows(characters, rows, 9))
        assert mine.build("--until", "data") == 0
        assert outcomes(capsys.readouterr().out) == {"data": expected}


def test_a_stage_that_is_not_whole_is_done_again(
    finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    place = copied(finished, tmp_path)
    (place.stage("evaluate") / "done.json").unlink()
    assert place.build("--until", "evaluate") == 0
    assert outcomes(capsys.readouterr().out)["evaluate"] == "done"
    assert (place.stage("evaluate") / "wrong.jsonl").is_file()


def wait_for_batch(place: Place, child: subprocess.Popen[str], batch: int) -> None:
    """Until the state of fine-tuning that is on disk is at that batch or later."""
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        for state in (place.cache / "topics" / "fine-tune").glob("*.partial/state/progress.json"):
            with contextlib.suppress(OSError, ValueError):
                if json.loads(state.read_text(encoding="utf-8"))["done"] >= batch:
                    return
        if child.poll() is not None:
            raise AssertionError(f"the build ended first: {child.communicate()}")
        time.sleep(0.01)
    raise AssertionError("no state was saved")


def start_slow_build(place: Place) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-c", SLOW_BUILD, *place.arguments("--until", "finetune")]
    return subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def test_interrupted_and_killed_it_goes_on_to_the_same_result(
    place: Place, finished: Place, capsys: pytest.CaptureFixture[str]
) -> None:
    with start_slow_build(place) as child:
        wait_for_batch(place, child, 3)
        child.send_signal(signal.SIGINT)
        out, errors = child.communicate(timeout=60)
    assert child.returncode == 130
    assert (
        errors.strip()
        == "ernie-triton build: interrupted; finished stages are kept, the same command goes on from here"
    )
    assert "Traceback" not in out

    with start_slow_build(place) as child:
        wait_for_batch(place, child, 11)
        child.kill()
        out, errors = child.communicate(timeout=60)
    assert child.returncode == -signal.SIGKILL
    assert "fine-tune: going on" in out
    assert "resumed after batch" in out

    assert place.build("--until", "finetune") == 0
    printed = capsys.readouterr().out
    assert "resumed after batch" in printed
    resumed_at = int(printed.partition("resumed after batch ")[2].split()[0])
    assert 11 <= resumed_at < 30

    def state(of: Place) -> tuple[dict[str, Any], list[dict[str, Any]]]:
        folder = of.stage("fine-tune")
        figures = json.loads((folder / "done.json").read_text(encoding="utf-8"))["figures"]
        history = json.loads((folder / "progress.json").read_text(encoding="utf-8"))["history"]
        return {name: value for name, value in figures.items() if name != "seconds"}, history

    assert state(place) == state(finished)
    assert place.stage("fine-tune").name == finished.stage("fine-tune").name
    ours, theirs = (read_checkpoint(p.stage("fine-tune") / "best").weights for p in (place, finished))
    for name, value in theirs.items():
        np.testing.assert_array_equal(ours[name], value, err_msg=name)


@pytest.mark.parametrize(
    ("done", "limit"),
    [
        ("none", 1_000),
        ("data", 100_000),
        ("data", 200_000),
        ("fine-tune", 50_000),
        ("fine-tune", 100_000),
        ("fine-tune", 140_000),
    ],
    ids=["data", "best weights", "state", "static graph", "static weights", "ONNX"],
)
def test_a_full_disk(finished: Place, tmp_path: Path, one_line: OneLine, done: str, limit: int) -> None:
    place = copied(finished, tmp_path)
    last = STAGES.index(done) if done != "none" else -1
    for stage in STAGES[last + 1 :]:
        shutil.rmtree(place.cache / "topics" / stage)
    with small_files(limit):
        code = place.build()
    line = one_line(code)
    assert "File too large" in line or "disk is full" in line
    assert not place.output.exists()
    assert place.build("--set", "epochs=2") == 0
    ours, theirs = (read_checkpoint(p.stage("fine-tune") / "best").weights for p in (place, finished))
    assert all((ours[name] == value).all() for name, value in theirs.items())


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
        code = place.build("--save-checkpoint", str(locked / "c"))
        one_line(code, str(locked / "c"), "no permission to write")
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


class SlowStage:
    """A stage that counts its runs."""

    NAME = "slow"

    def __init__(self, fails: bool = False) -> None:
        self.runs, self.fails = 0, fails
        self.begun, self.go_on = threading.Event(), threading.Event()

    def inputs(self, context: Context, before: Any) -> dict[str, Any]:
        return {"a": 1}

    def run(self, context: Context, before: Any, folder: Path) -> dict[str, Any]:
        self.runs += 1
        self.begun.set()
        assert self.go_on.wait(20)
        if self.fails and self.runs == 1:
            raise BuildError("the first one fails")
        return {"runs": self.runs}

    def line(self, figures: Any) -> str:
        return "done"


@pytest.mark.parametrize("fails", [False, True], ids=["first finishes", "first fails"])
def test_two_builds_of_a_stage_wait_for_each_other(
    tmp_path: Path, tasks_file: Path, capsys: pytest.CaptureFixture[str], fails: bool
) -> None:
    stage, results = SlowStage(fails), list[Done | BuildError]()
    context = Context(
        load_tasks(tasks_file)["topics"],
        "full",
        Checkpoint("", {}, {}, tmp_path),
        False,
        None,
        "dev",
        tmp_path,
        tmp_path / "cache",
    )

    def build() -> None:
        try:
            results.append(run_stage(stage, context, {}))
        except BuildError as error:
            results.append(error)

    first, second = threading.Thread(target=build), threading.Thread(target=build)
    first.start()
    assert stage.begun.wait(20)
    second.start()
    printed = ""
    deadline = time.monotonic() + 20
    while "another build is doing the same stage; waiting for it" not in printed and time.monotonic() < deadline:
        time.sleep(0.01)
        printed += capsys.readouterr().out
    assert stage.runs == 1
    (lock,) = (tmp_path / "cache").rglob("*.lock")
    with lock.open("w") as file, pytest.raises(BlockingIOError):
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    stage.go_on.set()
    first.join(20)
    second.join(20)
    printed += capsys.readouterr().out
    if fails:
        assert stage.runs == 2
        assert sorted(type(result).__name__ for result in results) == ["BuildError", "Done"]
    else:
        assert stage.runs == 1
        assert [result.figures for result in results if isinstance(result, Done)] == [{"runs": 1}] * 2
        assert "slow: done (reused)" in printed
