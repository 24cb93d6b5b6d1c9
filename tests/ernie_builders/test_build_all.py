"""The command line: a fault is one line, and Ctrl-C prints no traceback."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders import build_all
from ernie_builders.config.tasks import TaskConfig, load_tasks
from ernie_builders.errors import ConfigError
from ernie_builders.modeling.compatibility import check_fit
from ernie_builders.modeling.model import find_base_model
from ernie_builders.options import parse
from ernie_builders.stages import order
from ernie_builders.stages.selection import requested_tasks

from .command_line import OneLine
from .places import Place

SCRIPT = Path(__file__).parents[2] / "builders" / "build_all.py"


def script(*arguments: str, python: str = sys.executable, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """builders/build_all.py as users run it: from any folder, without PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    command = [*python.split(), str(SCRIPT), *arguments]
    return subprocess.run(command, env=environment, cwd=cwd, capture_output=True, text=True, timeout=120, check=False)


def test_help_from_any_folder(tmp_path: Path) -> None:
    result = script("--help", cwd=tmp_path)
    assert result.returncode == 0
    assert result.stderr == ""
    for option in (
        "--tasks",
        "--profile {demo,full}",
        "--data-dir",
        "--base-model",
        "--checkpoint TASK=DIR",
        "--set NAME=VALUE",
    ):
        assert option in result.stdout


def test_a_python_without_the_packages(tmp_path: Path) -> None:
    result = script("--help", python=f"{sys.executable} -S -E", cwd=tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    assert result.stderr.startswith("build_all: Python package ")
    assert result.stderr.endswith(" is missing; run `make setup`, then .venv/bin/python builders/build_all.py\n")
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--tasks", "poetry"], "--tasks: 'poetry' is not in tasks.toml; it has topics, names"),
        (["--tasks", "topics,poetry"], "--tasks: 'poetry' is not in tasks.toml"),
        (["--tasks", ","], "--tasks: names no task; tasks.toml has topics, names"),
        (["--set", "epochs"], "--set epochs: expected NAME=VALUE with NAME one of epochs, batch_size"),
        (["--set", "epoch=1"], "--set epoch=1: expected NAME=VALUE with NAME one of epochs"),
        (["--set", "epochs=many"], "--set epochs=many: 'many' is not a number"),
        (["--set", "epochs="], "--set epochs=: '' is not a number"),
        (["--set", "epochs=[1]"], "--set.epochs: expected float, found [1]"),
        (["--set", "epochs=null"], "--set.epochs: expected float, found None"),
        (["--set", "epochs=-1"], "--set: train.epochs is -1; it must be above 0"),
        (["--set", "epochs=NaN"], "--set: train.epochs is nan; it must be above 0"),
        (["--set", "batch_size=1.5"], "--set.batch_size: expected int, found 1.5"),
        (["--checkpoint", "somewhere"], "--checkpoint somewhere: expected TASK=DIR"),
        (["--checkpoint", "topics="], "--checkpoint topics=: expected TASK=DIR"),
        (["--checkpoint", "names=x"], "--checkpoint names=x: task 'names' is not among --tasks"),
        (["--data-dir", "no/such"], "--data-dir no/such: no such directory"),
        (["--tasks-file", "no/such.toml"], "no/such.toml: no such file (--tasks-file)"),
        (
            ["--base-model", "poetry"],
            "--base-model poetry: neither an encoder that ships",
        ),
    ],
)
def test_faults(place: Place, one_line: OneLine, arguments: list[str], message: str) -> None:
    one_line(place.build(*arguments), message)
    assert not place.cache.exists()
    assert not place.output.exists()


def test_the_full_profile_needs_data(place: Place, one_line: OneLine) -> None:
    arguments = place.arguments()
    position = arguments.index("--data-dir")
    one_line(
        build_all.main(arguments[:position] + arguments[position + 2 :]),
        "--profile full trains on real data: give --data-dir",
    )
    demo_arguments = [argument.replace("full", "demo") for argument in arguments[:position] + arguments[position + 2 :]]
    one_line(
        build_all.main(demo_arguments), "task topics: no sample ships for it; give --data-dir with its topics/ folder"
    )


def test_usage_errors_come_from_argparse(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        build_all.main(["--profile", "half"])
    assert raised.value.code == 2
    assert "argument --profile: invalid choice: 'half' (choose from" in capsys.readouterr().err
    for command in ([], ["pretrain"], ["distill", "encoder"]):
        with pytest.raises(SystemExit) as raised:
            build_all.main([*command, "--seed", "-1"])
        assert raised.value.code == 2
        assert "argument --seed: -1: expected a whole number from 0" in capsys.readouterr().err


def requested(place: Place, *more: str, task: str = "topics") -> list[TaskConfig]:
    """The tasks of a command line, as it changes them."""
    return requested_tasks(parse(place.arguments(*more, task=task)), load_tasks(place.tasks_file))


def test_a_task_that_is_named_twice_is_built_once(place: Place) -> None:
    assert [task.name for task in requested(place, task="topics, names,topics")] == ["topics", "names"]


def test_set_keeps_fractions(place: Place) -> None:
    """`epochs = 2` in the file is a whole number; --set epochs=0.5 is not rounded to one."""
    (task,) = requested(place, "--set", "epochs=0.5", "--set", "amp=false")
    assert task.train.epochs == 0.5
    assert task.train.amp is False
    (task,) = requested(place, "--set", "epochs=2")
    assert repr(task.train.epochs) == "2", "the same key as the file's"


def test_ctrl_c(place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """test_interrupted has a real one, in the middle of fine-tuning."""

    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(order.data, "read_file", interrupted)
    assert place.build() == 130
    errors = capsys.readouterr().err
    assert errors == "\nernie-triton build: interrupted; finished stages are kept, the same command goes on from here\n"


def test_windows_longer_than_the_encoder_s_positions() -> None:
    task = load_tasks()["tnews"]
    check_fit(replace(task, limits=replace(task.limits, max_length=512)), find_base_model("embedded"), False)
    with pytest.raises(ConfigError, match="max_length is 513, embedded has 512 positions"):
        check_fit(replace(task, limits=replace(task.limits, max_length=513)), find_base_model("embedded"), False)


def test_variants_that_the_encoder_cannot_have() -> None:
    """They are reported before hours of training, not after."""
    task, embedded = load_tasks()["tnews"], find_base_model("embedded")
    check_fit(replace(task, variants=("fp32", "d3-w0.83-int8")), embedded, False)
    for variant, message in (
        ("w0.7-int8", "0.7 of 12 attention heads is no whole number"),
        ("d5", "the model has 4 layers"),
    ):
        with pytest.raises(ConfigError, match=rf"tasks.tnews: variant {variant}: .*{message}"):
            check_fit(replace(task, variants=("fp32", variant)), embedded, False)


@pytest.fixture
def faulty(place: Place, tmp_path: Path) -> Place:
    """A place whose tasks file has one more, faulty task."""
    path = tmp_path / "faulty" / "tasks.toml"
    path.parent.mkdir()
    text = place.tasks_file.read_text(encoding="utf-8")
    path.write_text(f'{text}\n[tasks.odd]\nkind = "poetry"\nlimits = {{}}\ndata = {{}}\n', encoding="utf-8")
    return replace(place, tasks_file=path)


ODD = "tasks.toml: tasks.odd: kind 'poetry' is none of "


def test_a_faulty_task_does_not_block_another(faulty: Place, capsys: pytest.CaptureFixture[str]) -> None:
    assert faulty.build("--until", "data") == 0
    assert capsys.readouterr().out.startswith(f"warning: {ODD}")
    assert faulty.build("--dry-run") == 0
    assert f"warning: {ODD}" in capsys.readouterr().out


@pytest.mark.parametrize("more", [("--until", "data"), ("--dry-run",)])
def test_a_requested_faulty_task(faulty: Place, one_line: OneLine, more: tuple[str, ...]) -> None:
    one_line(faulty.build(*more, task="topics,odd"), f"ernie-triton build: {ODD}")
    assert not faulty.cache.exists()


def test_all_healthy_tasks_are_built(faulty: Place, one_line: OneLine) -> None:
    one_line(faulty.build("--until", "data", task="all"), f"not built: {ODD}")
    assert faulty.stage("data", "topics").is_dir() and faulty.stage("data", "names").is_dir()
    one_line(faulty.build("--dry-run", task="all"), f"not planned: {ODD}")


def test_classes_that_a_kind_without_labels_cannot_name_are_refused() -> None:
    task, source = load_tasks()["cmrc2018"], find_base_model("random:1x32x2")
    named = replace(source, config=replace(source.config, id2label={"0": "a", "1": "b"}))
    with pytest.raises(ConfigError, match=r"id2label names classes \(a, b\), which a question_answering has not"):
        check_fit(task, named, ready=True)
    check_fit(task, replace(source, config=replace(source.config, id2label={"0": "LABEL_0"})), ready=True)
