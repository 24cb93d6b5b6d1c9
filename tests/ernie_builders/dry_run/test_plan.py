"""--dry-run: the plan of a task's data, model and steps."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

from ernie_builders.config.tasks import load_tasks
from ernie_builders.kinds import get_builder_kind

from ..command_line import OneLine, Plan, command, row
from ..places import Place, write_topics

SHIPPED = load_tasks()


def test_a_task(plan: Plan, place: Place) -> None:
    text = plan("--set", "dropout=0.2")
    assert text.splitlines()[0] == "Plan: nothing is downloaded, trained or written."
    assert "[topics] Topics" in text
    assert row(text, "base model") == str(place.base_model)
    assert row(text, "shape").startswith("2 x 32 x 2 (layers x hidden x heads), feed-forward 64, vocabulary 400, ")
    assert row(text, "labels") == "3: north, south, west"
    assert row(text, "lengths").startswith("max_length 32 tokens (tasks.toml), doc_stride 24 (tasks.toml)")
    assert re.search(r"epochs +2 +tasks\.toml$", text, re.M)
    assert re.search(r"dropout +0\.2 +--set$", text, re.M)
    assert re.search(r"patience +4 +default$", text, re.M)
    assert row(text, "data") == f"train {place.data_dir}/topics/train.json: 240 rows"
    assert f"dev   {place.data_dir}/topics/dev.json: 60 rows" in text
    assert row(text, "steps").startswith("30 of 16 rows (2 epochs of 15 batches)")
    stages = ["data", "fine-tune", "export", "evaluate", "publish"]
    assert re.findall(r"(data|fine-tune|export|evaluate|publish) +runs$", text, re.M) == stages
    assert row(text, "output") == f"{place.output}/topics and its steps, version 1"
    assert not any(len(line) != len(line.rstrip()) for line in text.splitlines())


def test_a_checkpoint_is_not_trained(finished: Place, capsys: pytest.CaptureFixture[str]) -> None:
    best = finished.stage("fine-tune") / "best"
    assert finished.build("--dry-run", "--checkpoint", f"topics={best}") == 0
    text = capsys.readouterr().out
    assert row(text, "checkpoint") == str(best)
    assert row(text, "training").startswith("none: the checkpoint is published as it is")
    assert "steps" not in text.replace("its steps", "") and "hyperparameters" not in text


def test_the_checkpoints_and_samples_that_ship(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = command("--tasks", "tnews,msra_ner", "--cache", str(tmp_path / "cache"), capsys=capsys)
    assert text.count("\n  checkpoint ") == text.count("none: the checkpoint is published as it is") == 2
    assert re.search(r"builders/ernie_assets/samples/msra_ner/dev\.txt: \d+ rows$", text, re.M)
    assert "not looked up" not in text, "differences from an encoder are read without Paddle"
    text = command(
        *("--tasks", "tnews", "--preset", "tnews", "--base-model", "embedded"),
        *("--cache", str(tmp_path / "cache")),
        capsys=capsys,
    )
    assert row(text, "base model").startswith("embedded, "), "a preset trains"
    assert re.search(
        r"samples/tnews/train\.json: (not in the sample that ships: give --data-dir|\d+ rows)$", text, re.M
    )
    assert re.search(r"learning_rate +5e-05 +preset tnews$", text, re.M)


def test_missing_data(plan: Plan, place: Place, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "topics").mkdir(parents=True)
    text = plan("--data-dir", str(empty))
    assert row(text, "data") == f"train {empty}/topics/train.json: missing"
    assert "how many is known once the training rows are" in row(text, "steps")
    assert row(text, "stages").startswith(f"stops  {empty}/topics/train.json, {empty}/topics/dev.json: no such file")
    (empty / "topics" / "train.json").write_text("{}\n", encoding="utf-8")
    assert "train.json: cannot be read: " in row(plan("--data-dir", str(empty)), "data")
    assert "no such directory" in row(plan("--data-dir", str(tmp_path / "none")), "stages")


def test_data_in_a_packed_archive(plan: Plan, place: Place, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "topics.tar.xz", "w:xz") as tar:
        tar.add(place.data_dir / "topics", "topics")
    text = plan("--data-dir", str(packed))
    assert row(text, "data").endswith("train.json: in topics.tar.xz; a build unpacks it")
    assert "(not looked up: the data is in an archive)" in text


def test_data_in_an_unpacked_archive(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is read where a build unpacks it."""
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "topics.tar.xz", "w:xz") as tar:
        tar.add(place.data_dir / "topics", "topics")
    assert place.build("--data-dir", str(packed), "--until", "data") == 0
    capsys.readouterr()
    assert place.build("--dry-run", "--data-dir", str(packed)) == 0
    text = capsys.readouterr().out
    assert row(text, "data").endswith("train.json: 240 rows")
    assert re.search(r"data +finished: train 240 rows", text)


def test_a_kind_without_training(capsys: pytest.CaptureFixture[str]) -> None:
    names = [name for name, task in SHIPPED.items() if not get_builder_kind(task.kind).trains]
    for name in names:
        text = command("--tasks", name, "--profile", "full", capsys=capsys)
        assert row(text, "training").startswith("none: the kind has nothing to fine-tune")
        assert "hyperparameters" not in text
    assert names, "sentence_embedding, fill-mask"


def test_the_learning_rate_is_the_base_models(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Where neither the tasks file nor --set says one: also with a base model of the command line."""
    (tmp_path / "mine.toml").write_text(
        place.tasks_file.read_text(encoding="utf-8").replace("learning_rate = 5e-3\n", ""), encoding="utf-8"
    )
    for model, rate in (("embedded", "0.0003"), ("ernie-3.0-nano-zh", "0.0003"), ("ernie-3.0-base-zh", "5e-05")):
        place.build("--dry-run", "--tasks-file", str(tmp_path / "mine.toml"), "--base-model", model)
        assert re.search(rf"learning_rate +{rate} +default for the base model's size$", capsys.readouterr().out, re.M)


def test_devices_and_accumulation(plan: Plan) -> None:
    text = plan("--devices", "0,1", "--set", "accumulate=2", "--set", "epochs=1")
    assert row(text, "steps").startswith("3 of 16 rows x 4 (1 epoch of 15 batches)")


def test_base_models(plan: Plan) -> None:
    assert row(plan("--base-model", "random:2x64x2"), "base model") == "random:2x64x2, drawn from --seed"
    text = plan("--base-model", "ernie-3.0-bas-zh")
    assert "did you mean ernie-3.0-base-zh or ernie-3.0-xbase-zh?" in row(text, "shape")
    text = plan("--base-model", "poetry")
    assert row(text, "stages").startswith("stops  --base-model poetry: neither an encoder that ships")


def test_faults(place: Place, one_line: OneLine) -> None:
    def build(*arguments: str, task: str = "topics") -> int:
        return place.build("--dry-run", *arguments, task=task)

    one_line(build(task="poetry"), "--tasks: 'poetry' is not in tasks.toml; it has topics, names")
    one_line(build(task="cmnli"), "--tasks: 'cmnli' is not in tasks.toml; presets.toml has it: add --preset cmnli")
    one_line(build("--preset", "tnews", task="cmnli"), "presets.toml has it: add --preset cmnli")
    one_line(build(task=","), "--tasks: names no task; tasks.toml has topics, names")
    one_line(build("--preset", "tnew"), "--preset tnew: no such preset; did you mean tnews")
    one_line(build("--set", "epoch=1"), "--set epoch=1: expected NAME=VALUE")
    one_line(build("--checkpoint", "somewhere"), "--checkpoint somewhere: expected TASK=DIR")
    one_line(build("--tasks-file", "no/such.toml"), "no/such.toml: no such file (--tasks-file)")
    one_line(build("--preset", "all", "--base-model", "poetry"), "--base-model poetry: no directory")


def test_all_that_a_build_would_refuse_is_listed(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Labels that the task lacks in both files of one task, and a missing file of the other."""
    for split in ("train", "dev"):
        write_topics(tmp_path / "bad" / "topics" / f"{split}.json", [("的一不是", f"east-{split}")])
    assert place.build("--dry-run", "--data-dir", str(tmp_path / "bad"), task="topics,names") == 1
    shown = capsys.readouterr()
    assert shown.err.count("\n") == 1
    for fault in ("[topics] ", "east-train", "east-dev", "[names] ", "names"):
        assert fault in shown.err
    assert "[names] Names" in shown.out, "one faulty task does not end the plan"
