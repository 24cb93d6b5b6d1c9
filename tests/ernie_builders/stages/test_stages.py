"""A stage runs once, for later and for concurrent builds, until one of its inputs changes."""

from __future__ import annotations

import fcntl
import shutil
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.checkpoints.checkpoint import Checkpoint
from ernie_builders.checkpoints.encoder_config import parse_config
from ernie_builders.config.tasks import load_tasks
from ernie_builders.errors import BuildError
from ernie_builders.stages.context import Context
from ernie_builders.stages.results import Evaluated
from ernie_builders.stages.stage import Finished, Output, Stage, run_stage
from ernie_runtime.text.tokenizer import Tokenizer

from ..places import Place, copied, topic_rows, write_topics
from ..tiny import CONFIG

STAGES = ("data", "fine-tune", "export", "evaluate", "publish")


def outcomes(out: str) -> dict[str, str]:
    """Stage -> "reused" or "done", from a build's lines."""
    by_stage = {}
    for line in out.splitlines():
        stage = line.partition("] ")[2].partition(":")[0]
        if stage in STAGES and line.endswith(")"):
            by_stage[stage] = "reused" if line.endswith("(reused)") else "done"
    return by_stage


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


def test_changed_data_is_read_again(
    place: Place, tmp_path: Path, characters: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(place.data_dir, tmp_path / "data")
    changed_place = replace(place, data_dir=tmp_path / "data")
    for rows, expected in ((5, "done"), (5, "reused"), (6, "done")):
        write_topics(tmp_path / "data" / "topics" / "dev.json", topic_rows(characters, rows, 9))
        assert changed_place.build("--until", "data") == 0
        assert outcomes(capsys.readouterr().out) == {"data": expected}


def test_an_unfinished_stage_is_done_again(finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    place = copied(finished, tmp_path)
    (place.stage("evaluate") / "done.json").unlink()
    assert place.build("--until", "evaluate") == 0
    assert outcomes(capsys.readouterr().out)["evaluate"] == "done"
    assert (place.stage("evaluate") / "wrong.jsonl").is_file()


class SlowStage:
    """A stage that counts its runs."""

    def __init__(self, fails: bool = False) -> None:
        self.runs, self.fails = 0, fails
        self.begun, self.go_on = threading.Event(), threading.Event()

    def stage(self) -> Stage[Evaluated]:
        return Stage(
            name="slow",
            result_type=Evaluated,
            inputs=lambda context, finished: {"a": 1},
            run=self.run,
            line=lambda result: "done",
        )

    def run(self, context: Context, finished: Finished, folder: Path) -> Evaluated:
        self.runs += 1
        self.begun.set()
        assert self.go_on.wait(20)
        if self.fails and self.runs == 1:
            raise BuildError("the first one fails")
        return Evaluated(rows=self.runs, split="dev", metrics={})


@pytest.mark.parametrize("fails", [False, True], ids=["first finishes", "first fails"])
def test_two_builds_of_a_stage_wait_for_each_other(
    tmp_path: Path, tasks_file: Path, tokenizer: Tokenizer, capsys: pytest.CaptureFixture[str], fails: bool
) -> None:
    stage, results = SlowStage(fails), list[Output[Evaluated] | BuildError]()
    context = Context(
        task=load_tasks(tasks_file)["topics"],
        profile="full",
        source=Checkpoint(where="", config=parse_config(CONFIG, ""), weights={}, tokenizer=tokenizer),
        ready=False,
        data_folder=None,
        data_split="dev",
        output=tmp_path,
        cache=tmp_path / "cache",
    )

    def build() -> None:
        try:
            results.append(run_stage(stage.stage(), context, Finished()))
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
        assert sorted(type(result).__name__ for result in results) == ["BuildError", "Output"]
    else:
        assert stage.runs == 1
        assert [output.result.rows for output in results if isinstance(output, Output)] == [1, 1]
        assert "slow: done (reused)" in printed


def test_rows_that_cannot_be_served_are_reported(
    place: Place, tmp_path: Path, characters: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """They are left out of training, so the build lists them."""
    changed_place = replace(place, data_dir=tmp_path / "data")
    rows = topic_rows(characters, 20, 9)
    for name in ("train", "dev"):
        write_topics(tmp_path / "data" / "topics" / f"{name}.json", rows)
    train = tmp_path / "data" / "topics" / "train.json"
    write_topics(train, [*rows, ("", "north"), *[("的" * 30_000, "west")] * 4])
    assert changed_place.build("--until", "data") == 0
    output = capsys.readouterr().out
    assert "train 25 rows" in output
    assert "5 that cannot be served (line 21: the text is empty" in output
    assert ", ...); dev 20 rows" in output
    write_topics(train, [("", "north")] * 3)
    assert changed_place.build("--until", "data") == 1
    assert "train.json: no row can be served; line 1: the text is empty" in capsys.readouterr().err
