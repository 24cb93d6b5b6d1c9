"""`assets train`: a training is stored in the form that ships, and replaces the old only where no task gets worse."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints import checkpoint as weights
from ernie_builders.checkpoints.adapter import ARRAYS, CONFIG
from ernie_builders.checkpoints.checkpoint import read_checkpoint, write_checkpoint
from ernie_builders.checkpoints.encoders import ENCODERS
from ernie_builders.config.tasks import load_tasks
from ernie_builders.errors import ConfigError
from ernie_builders.presets.loading import load_presets, parse_shipped
from ernie_builders.presets.presets import SHIPPED
from ernie_builders.registry import cli
from ernie_builders.registry import train as module
from ernie_builders.registry.train import tasks_with
from ernie_builders.stages.request import BuildRequest
from ernie_builders.stages.results import Evaluated

from ..command_line import fault_line, one_object
from ..places import TASKS, Place

WORSE = ("--set", "learning_rate=1e-7", "--set", "epochs=0.2")
FULL = ("--set", "lora=0", "--set", "epochs=0.2")
Command = Callable[..., int]


@contextmanager
def assets(place: Place) -> Iterator[Command]:
    """Runs `assets train topics` on assets where the tiny encoder ships; two tasks have the checkpoint of topics."""
    entry = TASKS.split("[tasks.names]")[0]
    entry = entry.replace(
        "title =", f'checkpoint = "checkpoints/topics"\nbase_model = {json.dumps(str(place.base_model))}\ntitle ='
    )
    file = place.root / "shipped.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(entry + entry.replace("tasks.topics", "tasks.again"), encoding="utf-8")
    assert tasks_with(load_tasks(file)["topics"], file) == ["topics", "again"]
    (place.root / "assets").mkdir()

    def run(*more: str, task: str = "topics") -> int:
        options = ["--data-dir", str(place.data_dir), "--cache", str(place.cache), "--tasks-file", str(file)]
        arguments = ["--assets", str(place.root / "assets"), "train", task, *options, "--set", "lora=4"]
        return cli.main([*arguments, *more])

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(weights, "BASES", {str(place.base_model): place.base_model})
        patch.setattr(module, "BASES", {str(place.base_model): place.base_model})
        yield run


@pytest.fixture(scope="module")
def trained(tasks_file: Path, data_dir: Path, base_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The finished stages of three trainings: tests are about what is stored of them."""
    place = Place(tasks_file, data_dir, base_model, tmp_path_factory.mktemp("trained"))
    with assets(place) as run:
        assert [run(*options) for options in (FULL, WORSE, ())] == [0, 0, 0]
    return place.cache


@pytest.fixture
def command(place: Place, trained: Path) -> Iterator[Command]:
    """`assets train topics` with no assets yet."""
    shutil.copytree(trained, place.cache)
    with assets(place) as run:
        yield run


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.mark.slow
def test_an_adapter_that_is_published_as_measured(
    place: Place, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place.root / "assets" / "checkpoints" / "topics"
    assert command() == 0
    assert sorted(state(folder)) == [CONFIG, ARRAYS, "card.json", "config.json"]
    card = json.loads((folder / "card.json").read_text(encoding="utf-8"))
    (evaluation,) = card["evaluations"]
    assert card["command"] == "ernie-triton assets train topics --data-dir DATA --seed 0 --set lora=4"
    assert card["train"]["lora"] == 4
    output = capsys.readouterr().out
    figure = f"accuracy {evaluation['metrics']['accuracy']:.2f}"
    assert f"[topics] topics {figure}, again {figure}: stored as an adapter of the encoder {place.base_model}" in output
    assert evaluation["metrics"] == card["before_storing"], "so small a task loses nothing to float16"
    again = replace(place, root=place.root / "again")
    assert again.build("--checkpoint", f"topics={folder}", "--until", "evaluate") == 0
    assert again.figures("evaluate")["metrics"] == evaluation["metrics"]
    before = state(folder)
    assert command() == 0
    assert "its checkpoint is of this training already" in capsys.readouterr().out
    assert state(folder) == before


@pytest.mark.slow
def test_better_replaces_worse_but_worse_never_better(
    place: Place, command: Command, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = place.root / "assets" / "checkpoints" / "topics"
    assert command(*WORSE) == 0
    worse = state(folder)
    real = module.evaluated

    def evaluated(name: str, of: Path, request: BuildRequest) -> Evaluated | None:
        """Worse for the other task that has the weights."""
        result = real(name, of, request)
        assert result is not None
        drop = 100 if name == "again" and of != folder else 0
        return replace(result, metrics={"accuracy": result.metrics["accuracy"] - drop})

    with monkeypatch.context() as patched:
        patched.setattr(module, "evaluated", evaluated)
        assert command() == 0
    assert "the old checkpoint stays" in capsys.readouterr().out
    assert state(folder) == worse
    capsys.readouterr()
    assert command("--json") == 0
    printed = one_object(capsys)
    better = state(folder)
    assert better != worse
    assert printed["stored"] and printed["figures"]["topics"] > printed["before"]["topics"]
    assert command(*WORSE) == 0
    assert "the old checkpoint stays" in capsys.readouterr().out
    assert state(folder) == better, "the old one stays, byte for byte"
    assert [path.name for path in folder.parent.iterdir()] == ["topics"]


@pytest.mark.slow
def test_what_does_not_fit_the_task_any_more_is_replaced(
    place: Place, command: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = place.root / "assets" / "checkpoints" / "topics"
    assert command(*FULL) == 0
    old = read_checkpoint(folder)
    head = {name: np.concatenate([old.weights[name]] * 2, axis=-1) for name in ("classifier.weight", "classifier.bias")}
    labels = {str(number): str(number) for number in range(len(head["classifier.bias"]))}
    write_checkpoint(folder, replace(old.config, id2label=labels), {**old.weights, **head}, old.tokenizer)
    capsys.readouterr()
    assert command() == 0
    output = capsys.readouterr().out
    assert "[topics] not compared with what ships: " in output and ": stored as an adapter" in output
    assert (folder / CONFIG).is_file()


@pytest.mark.slow
def test_training_in_full_is_stored_in_eight_bits(place: Place, command: Command) -> None:
    folder = place.root / "assets" / "checkpoints" / "topics"
    assert command(*FULL) == 0
    assert sorted(state(folder)) == ["card.json", "config.json", "model.safetensors", "vocab.txt"]
    assert read_checkpoint(folder).has_head


def test_what_cannot_be_trained(place: Place, command: Command, capsys: pytest.CaptureFixture[str]) -> None:
    def refused(*more: str, task: str = "topics") -> str:
        return fault_line(command(*more, task=task), program="ernie-triton assets", capsys=capsys)

    assert "again: ships with checkpoints/topics: train the task it is of" in refused(task="again")
    assert "'none' is not in shipped.toml; it has topics, again" in refused(task="none")
    assert "nowhere: no such directory" in refused("--data-dir", str(place.root / "nowhere"))
    assert "--set lora=x: 'x' is not a number" in refused("--set", "lora=x")


def test_the_preset_trains_what_ships_from_the_embedded_encoder() -> None:
    """A task that starts from another's checkpoint comes after it; every task has its own checkpoint."""
    tasks, names = load_tasks(), load_presets().shipped.tasks
    for position, name in enumerate(names):
        assert tasks[name].checkpoint == f"checkpoints/{name}"
        base = tasks[name].base_model
        assert base in ENCODERS or base.removeprefix("shipped:") in names[:position]
    others = {task.checkpoint for task in tasks.values()} - {f"checkpoints/{name}" for name in names} - {""}
    assert others == {"checkpoints/sst2"}


def test_the_preset_changes_hyperparameters(tasks_file: Path) -> None:
    task = load_tasks(tasks_file)["topics"]
    raw: dict[str, Any] = {"tasks": ["topics"], "shared": {"lora": 8}, "train": {"topics": {"epochs": 9.0}}}
    train = parse_shipped(raw, SHIPPED).apply(task).train
    assert (train.epochs, train.lora, train.batch_size) == (9, 8, task.train.batch_size)
    for raw, message in (
        ({"tasks": "topics"}, "shipped.tasks: expected a list of strings"),
        ({"tasks": [], "train": {"topics": {}}}, "shipped.train.topics: shipped.tasks has no such task"),
        ({"tasks": ["topics"], "train": {"topics": {"epoch": 1}}}, "shipped.train.topics: unknown field 'epoch'"),
        ({"tasks": ["topics"], "shared": {"epoch": 1}}, "shipped.shared: unknown field 'epoch'"),
        ({"task": []}, "shipped: unknown field 'task'"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_shipped(raw, SHIPPED)
