"""Presets applied to tasks, through the library and on the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.config.tasks import TaskConfig, load_tasks
from ernie_builders.config.train import TrainConfig
from ernie_builders.options import parse
from ernie_builders.presets.loading import choice_for, preset_for, task_names
from ernie_builders.stages.selection import requested_tasks

from ..command_line import OneLine
from ..places import Place

TASKS = load_tasks()


def task(**changes: object) -> TaskConfig:
    return replace(TASKS["chnsenticorp"], **changes)  # type: ignore[arg-type]


def test_fields_that_a_preset_changes() -> None:
    before = task(train=TrainConfig(epochs=7, dropout=0.3, windows_per_text=1, evals_per_epoch=5, accumulate=4))
    after = preset_for("chnsenticorp", "ernie-1.0").apply(before)
    assert (after.train.epochs, after.train.batch_size, after.train.accumulate) == (10, 24, 1)
    assert (after.train.dropout, after.train.warmup, after.train.weight_decay) == (0.1, 0.0, 0.01)
    assert (after.train.windows_per_text, after.train.evals_per_epoch) == (1, 5)
    assert (before.limits.max_length, before.limits.doc_stride) == (192, 128)
    assert (after.limits.max_length, after.limits.doc_stride) == (256, 171), "128 of 192"
    assert after.labels == before.labels and after.data == before.data


def test_a_published_stride_and_options() -> None:
    after = preset_for("cmrc2018", "ernie-3.0-medium-zh").apply(task(options={"n_best": 3}))
    assert (after.limits.max_length, after.limits.doc_stride) == (512, 128)
    assert after.options == {"n_best": 3, "max_answer_tokens": 50}


def test_a_stride_always_fits() -> None:
    limits = replace(task().limits, max_length=32, doc_stride=30)
    after = preset_for("intent_slots", "ernie-3.0-tiny-nano-v2-zh").apply(task(limits=limits))
    assert (after.limits.max_length, after.limits.doc_stride) == (16, 14)


def test_published_applies_each_task_s_own_preset() -> None:
    def preset_name(name: str) -> str | None:
        choice = choice_for("published", name, "ernie-3.0-medium-zh")
        return choice.preset.name if choice else None

    assert [preset_name(name) for name in ("tnews", "cmrc2018", "nlpcc2018_slu", "event_hierarchy")] == [
        "tnews",
        "cmrc2018",
        "intent_slots",
        "hierarchical",
    ]
    assert preset_name("poetry") is None
    assert choice_for("", "tnews", "embedded") is None
    assert task_names("cmrc2018_clue", ["tnews", "cmrc2018"]) == ["cmrc2018"]
    assert task_names("published", ["tnews", "poetry"]) == ["tnews", "poetry"]


def chosen(*arguments: str) -> list[TaskConfig]:
    return requested_tasks(parse(arguments), TASKS)


def test_on_the_command_line() -> None:
    (tnews,) = chosen("--tasks", "tnews", "--base-model", "ernie-3.0-base-zh", "--preset", "tnews")
    assert (tnews.train.batch_size, tnews.train.learning_rate, tnews.train.epochs) == (32, 3e-5, 3)
    (default_task,) = chosen("--base-model", "ernie-3.0-base-zh", "--preset", "tnews")
    assert default_task == tnews, "a preset without --tasks is for its own task"
    (changed,) = chosen(
        "--preset", "tnews", "--base-model", "embedded", "--set", "epochs=1", "--set", "learning_rate=1e-3"
    )
    train = changed.train
    assert (train.epochs, train.learning_rate, train.batch_size) == (1, 1e-3, 16), "--set wins"
    published = chosen("--tasks", "tnews,csl", "--preset", "published", "--base-model", "ernie-3.0-micro-zh")
    assert [(t.train.batch_size, t.limits.max_length) for t in published] == [(32, 128), (64, 256)]
    (chnsenticorp,) = chosen("--tasks", "chnsenticorp", "--preset", "tnews")
    assert chnsenticorp.train.learning_rate == 5e-5, "any preset for any task"


def test_a_tasks_file_of_one_task_is_what_a_preset_applies_to(
    place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whatever the task is called; and `published`, which goes by names, says that it has nothing for it."""
    only = tmp_path / "tickets.toml"
    text = place.tasks_file.read_text(encoding="utf-8")
    only.write_text(text[: text.index("[tasks.names]")], encoding="utf-8")
    arguments = ("--tasks-file", str(only), "--until", "data")
    assert place.build("--preset", "intent_slots", *arguments, task="all") == 0
    assert "[topics] preset intent_slots: " in capsys.readouterr().out
    assert place.build("--preset", "published", *arguments, task="all") == 0
    assert "[topics] preset published: none is published for this task" in capsys.readouterr().out


def test_faults_on_the_command_line(place: Place, one_line: OneLine) -> None:
    one_line(place.build("--preset", "tnew"), "--preset tnew: no such preset; did you mean tnews")
    one_line(place.build("--preset", "all"), "--preset all only lists the presets: add --dry-run")
    one_line(
        place.build("--preset", "cmnli", task="all"),
        "--preset cmnli: tasks.toml has no task for it: give --tasks with one of topics, names",
    )
    one_line(
        place.build("--preset", "tnews", "--checkpoint", f"topics={place.base_model}"),
        "--preset tnews trains, --checkpoint topics=",
    )
    assert not place.cache.exists() and not place.output.exists()


def test_a_build_with_a_preset(place: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The build names the origin of the figures and reads with the preset's length; the card's command has it too."""
    assert place.build("--preset", "intent_slots", "--until", "data") == 0
    assert "[topics] preset intent_slots: fallback: this set has nothing for " in capsys.readouterr().out
    inputs = json.loads((place.stage("data") / "done.json").read_text(encoding="utf-8"))["inputs"]
    assert (inputs["limits"]["max_length"], inputs["limits"]["doc_stride"]) == (16, 12)


def test_a_preset_longer_than_the_encoder_can_read(place: Place, one_line: OneLine) -> None:
    one_line(place.build("--preset", "tnews"), "tasks.topics.limits.max_length is 128, ", " has 64 positions")
