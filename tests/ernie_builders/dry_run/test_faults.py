"""--dry-run: all that a build would refuse, at once, with exit code 1; and a build that goes on with other tasks."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint

from ..command_line import OneLine, row
from ..places import Place, copied, topic_rows, write_names, write_topics


def changed(place: Place, tmp_path: Path, *changes: tuple[str, str]) -> Place:
    """With another tasks file."""
    text = place.tasks_file.read_text(encoding="utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    file = tmp_path / "tasks.toml"
    file.write_text(text, encoding="utf-8")
    return replace(place, tasks_file=file)


def test_labels_that_the_task_lacks_are_all_named(place: Place, tmp_path: Path, one_line: OneLine) -> None:
    """Of both files, each once, and how many rows have one."""
    for split in ("train", "dev"):
        rows = [("的一不是", f"east-{split}"), ("的一不", "north"), ("的一", f"up-{split}"), ("的", f"up-{split}")]
        write_topics(tmp_path / "bad" / "topics" / f"{split}.json", rows)
    named = ("train.json:1: ", "east-train", "line 3: ", "up-train", "(3 rows are faulty)", "east-dev", "up-dev")
    line = one_line(place.build("--dry-run", "--data-dir", str(tmp_path / "bad")), *named)
    assert line.count("up-train") == 1
    one_line(place.build("--until", "data", "--data-dir", str(tmp_path / "bad")), "east-train", "up-train")


def test_faults_of_the_model_and_of_the_data_are_named_together(
    place: Place, tmp_path: Path, one_line: OneLine
) -> None:
    (tmp_path / "bad" / "topics").mkdir(parents=True)
    (tmp_path / "bad" / "topics" / "train.json").write_bytes(json.dumps({"sentence": "é"}).encode("latin-1") + b"\xe9")
    long = changed(place, tmp_path, ("max_length = 32", "max_length = 4000"))
    code = long.build("--dry-run", "--data-dir", str(tmp_path / "bad"))
    one_line(code, "max_length is 4000", "positions", "bad/topics/train.json", "dev.json: missing")
    code = long.build("--dry-run", "--base-model", "ernie-3.0-base-zh")
    one_line(code, "max_length is 4000, ernie-3.0-base-zh has 2048 positions")
    one_line(place.build("--dry-run", "--base-model", "ernie-3.0-bas-zh"), "did you mean ernie-3.0-base-zh")


def test_a_device_that_is_not_there(place: Place, one_line: OneLine) -> None:
    one_line(place.build("--dry-run", "--device", "gpu"), "--device gpu: ")
    one_line(place.build("--dry-run", "--devices", "0,x"), "--devices 0,x: expected numbers")


def test_texts_that_are_missing(finished: Place, tmp_path: Path, one_line: OneLine) -> None:
    """Examples, without data to check the export on; training text, for a variant that is trained."""
    best = finished.stage("fine-tune") / "best"
    bare = changed(
        finished, tmp_path, ('examples = ["的一不是", "有人了在用"]\n', ""), ('folder = "topics"', 'folder = "none"')
    )
    arguments = bare.arguments("--dry-run", "--checkpoint", f"topics={best}", "--variants", "fp32,w0.5")
    arguments[arguments.index("--data-dir") : arguments.index("--data-dir") + 2] = []
    arguments[arguments.index("full")] = "demo"
    from ernie_builders import build_all

    one_line(build_all.main(arguments), "no texts to check the export on", "variant w0.5: no training text")


def test_too_few_rows(place: Place, tmp_path: Path, characters: list[str], one_line: OneLine) -> None:
    without_dev = changed(place, tmp_path, ('dev = "dev.json"\n', ""))
    write_topics(tmp_path / "few" / "topics" / "train.json", topic_rows(characters, 9, 0))
    one_line(without_dev.build("--dry-run", "--data-dir", str(tmp_path / "few")), "9 rows are too few")


def test_steps_are_those_of_the_rows_that_are_left(
    place: Place, tmp_path: Path, characters: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The plan's number is the build's: a tenth is held out to evaluate on, a tenth of the others to choose by."""
    local = replace(changed(place, tmp_path, ('dev = "dev.json"\n', ""), ("epochs = 2", "epochs = 1")), root=tmp_path)
    write_topics(tmp_path / "data" / "topics" / "train.json", topic_rows(characters, 1200, 0))
    data = ("--data-dir", str(tmp_path / "data"))
    assert local.build("--dry-run", *data) == 0
    steps = row(capsys.readouterr().out, "steps")
    assert "held out: 120 rows to evaluate on, 108 rows to choose the best checkpoint by" in steps
    assert local.build("--until", "finetune", *data) == 0
    assert steps.startswith(f"{local.figures('fine-tune')['batches']} of 16 rows")


def test_one_faulty_task_does_not_end_a_run_of_several(
    finished: Place, tmp_path: Path, characters: list[str], capfd: pytest.CaptureFixture[str]
) -> None:
    """The first task's data is faulty; the second one is built, and the exit code is 1."""
    local = copied(finished, tmp_path)
    write_topics(tmp_path / "bad" / "topics" / "train.json", [("的一不是", "east")])
    write_names(tmp_path / "bad" / "names" / "train.txt", characters, 40, 0)
    write_names(tmp_path / "bad" / "names" / "dev.txt", characters, 10, 1)
    arguments = ("--data-dir", str(tmp_path / "bad"), "--until", "finetune")
    assert local.build(*arguments, task="topics,names") == 1
    shown = capfd.readouterr()
    assert "ernie-triton build: failed: [topics] " in shown.err.splitlines()[-1]
    assert "dev.json" in shown.err.splitlines()[-1]
    assert read_checkpoint(local.stage("fine-tune", "names") / "best").has_head
