"""--keep-better: a shipped checkpoint is replaced, once, only where no task gets worse; a table lists them all."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.checkpoints import checkpoint as weights
from ernie_builders.config.tasks import load_tasks
from ernie_builders.errors import ConfigError
from ernie_builders.presets.loading import load_presets, parse_shipped
from ernie_builders.presets.presets import SHIPPED
from ernie_builders.registry import keep, saving
from ernie_builders.registry.keep import LEDGER, TABLE, read_ledger, table
from ernie_builders.registry.saving import sharing
from ernie_builders.stages.request import BuildRequest
from ernie_builders.stages.results import Evaluated
from ernie_builders.training.trainer import Trainer

from ..command_line import OneLine
from ..places import TASKS, Place

WORSE = ("--set", "learning_rate=1e-7", "--set", "epochs=0.2")


@pytest.fixture
def trained(place: Place, finished: Place, monkeypatch: pytest.MonkeyPatch) -> Place:
    """A finished fine-tuning from an encoder that ships, and one more task that has the same weights."""
    shutil.copytree(finished.cache, place.cache)
    monkeypatch.setattr(weights, "BASES", {str(place.base_model): place.base_model})
    return place


def saved(place: Place, *more: str) -> int:
    options = ("--until", "evaluate", "--save-checkpoint", str(place.root / "shipped"), "--keep-better")
    return place.build(*options, *more)


def state(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def table_rows(cache: Path) -> list[list[str]]:
    """The cells of the table, one list per task."""
    lines = (cache / TABLE).read_text(encoding="utf-8").split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_better_replaces_worse_but_worse_never_better(trained: Place, capsys: pytest.CaptureFixture[str]) -> None:
    folder, cache = trained.root / "shipped" / "topics", trained.cache
    assert saved(trained, *WORSE) == 0
    first = state(folder)
    assert json.loads(first["card.json"])["task"] == "topics"
    assert [row[3] for row in table_rows(cache)] == ["none"]
    assert saved(trained) == 0
    second = state(folder)
    assert second != first
    row = read_ledger(cache)["topics"]
    (figures,) = row["figures"]
    assert (row["kept"], figures["before"] < figures["after"]) == ("new", True)
    assert saved(trained) == 0
    assert f"decided before: topics accuracy {figures['after']:.2f} after, {figures['before']:.2f} before" in (
        capsys.readouterr().out
    )
    assert saved(trained, *WORSE) == 0
    assert state(folder) == second, "the old one stays, byte for byte"
    entry, (cells,) = read_ledger(cache)["topics"], table_rows(cache)
    (last_figures,) = entry["figures"]
    values = [f"{value:.2f}" for value in (last_figures["after"], figures["after"])]
    assert cells[3:8] == ["none", *values, "", "new"], "before all, the last try, what ships"
    assert [path.name for path in folder.parent.iterdir()] == ["topics"]


def test_every_task_that_shares_the_weights_counts(
    trained: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Better for its own task but worse for another: the old one stays."""
    task_table = TASKS.split("[tasks.names]")[0].replace("title =", 'checkpoint = "checkpoints/topics"\ntitle =')
    file = tmp_path / "shared.toml"
    file.write_text(task_table + task_table.replace("tasks.topics", "tasks.again"), encoding="utf-8")
    assert sharing(load_tasks(file)["topics"], file) == ["again"]
    options = ("--tasks-file", str(file))
    assert saved(trained, *options, *WORSE) == 0
    before = state(trained.root / "shipped" / "topics")
    real = saving._evaluated

    def evaluated(name: str, folder: Path, request: BuildRequest) -> Evaluated:
        result = real(name, folder, request)
        assert result is not None
        drop = 100 if folder.name == "retrained" else 0
        return replace(result, metrics={"accuracy": result.metrics["accuracy"] - drop})

    with monkeypatch.context() as patched:
        patched.setattr(saving, "_evaluated", evaluated)
        assert saved(trained, *options) == 0
    assert state(trained.root / "shipped" / "topics") == before
    row = read_ledger(trained.cache)["topics"]
    assert [figures["task"] for figures in row["figures"]] == ["topics", "again"]
    assert row["kept"] == "old"
    (trained.cache / LEDGER).unlink()
    assert saved(trained, *options) == 0
    row = read_ledger(trained.cache)["topics"]
    assert row["kept"] == "new"
    topics_figures, again_figures = row["figures"]
    assert (topics_figures["before"], topics_figures["after"]) == (again_figures["before"], again_figures["after"]), (
        "the same data, the same weights"
    )
    assert [line[7] for line in table_rows(trained.cache)] == ["new", "that of topics"]


def test_an_interrupted_replacement_is_repeated(trained: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    assert saved(trained, *WORSE) == 0
    first = state(trained.root / "shipped" / "topics")

    def stopped(folder: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(keep, "whole_folder", stopped)
        assert saved(trained) == 130
    assert state(trained.root / "shipped" / "topics") == first
    assert saved(trained) == 0
    assert state(trained.root / "shipped" / "topics") != first
    (figures,) = read_ledger(trained.cache)["topics"]["figures"]
    assert figures["before"] < figures["after"], "not compared with itself"


def test_a_decision_holds_for_one_directory(trained: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """Another directory, or one that was removed, gets a checkpoint of its own."""
    other = ("--save-checkpoint", str(trained.root / "other"))
    for options in ((), other):
        assert saved(trained, *options) == 0
        assert "decided before" not in capsys.readouterr().out
    assert state(trained.root / "other" / "topics").keys() == state(trained.root / "shipped" / "topics").keys()
    shutil.rmtree(trained.root / "other")
    assert saved(trained, *other) == 0
    assert (trained.root / "other" / "topics" / "card.json").is_file()
    assert saved(trained, *other) == 0
    assert "decided before" in capsys.readouterr().out


def test_concurrent_builds_keep_both_decisions(trained: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """They share a cache and its ledger."""
    store = keep.save_checkpoint

    def slow(*arguments: Any) -> str:
        keep._record(trained.cache, "names", {"kept": "old", "new": False, "figures": [], "minutes": 1})
        return store(*arguments)

    monkeypatch.setattr(keep, "save_checkpoint", slow)
    assert saved(trained) == 0
    assert list(read_ledger(trained.cache)) == ["names", "topics"]
    assert len(table_rows(trained.cache)) == 1


def test_other_dev_rows_are_reported_before_training(
    trained: Place, monkeypatch: pytest.MonkeyPatch, one_line: OneLine
) -> None:
    assert saved(trained) == 0
    card = trained.root / "shipped" / "topics" / "card.json"
    card.write_text(card.read_text(encoding="utf-8").replace('"rows": 60', '"rows": 61'), encoding="utf-8")
    monkeypatch.setattr(Trainer, "run", lambda self: pytest.fail("trained first"))
    one_line(saved(trained, "--seed", "1"), "measured on 61 dev rows, but --data-dir has 60")


def test_faults(trained: Place, one_line: OneLine) -> None:
    one_line(trained.build("--keep-better"), "--keep-better: says what --save-checkpoint DIR may replace")
    card = trained.root / "shipped" / "topics" / "card.json"
    card.parent.mkdir(parents=True)
    for text, message in (
        ("{", "has no dev accuracy"),
        ('{"evaluations": [{"rows": 60, "metrics": {"f1": 3}}]}', "has no dev accuracy"),
        (
            '{"evaluations": [{"rows": 61, "metrics": {"accuracy": 3}}]}',
            "measured on 61 dev rows, but --data-dir has 60",
        ),
    ):
        card.write_text(text)
        one_line(saved(trained), message)
        assert state(card.parent) == {"card.json": text.encode()}
    card.write_text('{"evaluations": [{"rows": 60, "metrics": {"accuracy": 3}}]}')
    (trained.cache / LEDGER).write_text("{")
    one_line(saved(trained), f"{LEDGER}: not JSON")


def test_the_table() -> None:
    figures = {"task": "a", "metric": "f1", "rows": 1200, "before": 70.0, "after": 72.5, "first": 70.0}
    second_figures = {**figures, "task": "b", "before": 71.0, "after": 70.5}
    text = table({"a": {"kept": "new", "new": True, "figures": [figures, second_figures], "minutes": 90}})
    assert "| a | 1,200 | f1 | 70.00 | 72.50 | 72.50 | +2.50 | new | 90 |" in text
    assert "| b | 1,200 | f1 | 70.00 | 70.50 | 70.50 | +0.50 | that of a |  |" in text
    assert text.endswith("1.5 hours of training; the old checkpoint was kept for: none.\n")
    text = table({"b": {"kept": "old", "new": False, "figures": [{**second_figures, "first": 71.0}], "minutes": 0}})
    assert "| b | 1,200 | f1 | 71.00 | 70.50 | 71.00 | +0.00 | old | 0 |" in text
    assert "the old checkpoint was kept for: b." in text


def test_the_preset_trains_what_ships_from_the_embedded_encoder() -> None:
    """A task that starts from another's checkpoint comes after it; every task has its own checkpoint."""
    tasks, names = load_tasks(), load_presets().shipped.tasks
    for position, name in enumerate(names):
        assert tasks[name].checkpoint == f"checkpoints/{name}"
        base = tasks[name].base_model
        assert base == "embedded" or base.removeprefix("shipped:") in names[:position]
    others = {task.checkpoint for task in tasks.values()} - {f"checkpoints/{name}" for name in names} - {""}
    assert others == {"checkpoints/sst2"}


def test_the_preset_changes_hyperparameters(tasks_file: Path) -> None:
    task = load_tasks(tasks_file)["topics"]
    preset = parse_shipped({"tasks": ["topics"], "train": {"topics": {"epochs": 9.0}}}, SHIPPED)
    assert (preset.apply(task).train.epochs, preset.apply(task).train.batch_size) == (9, task.train.batch_size)
    assert preset.tasks_among(["names", "topics"]) == ["topics"]
    for raw, message in (
        ({"tasks": "topics"}, "shipped.tasks: expected a list of strings"),
        ({"tasks": [], "train": {"topics": {}}}, "shipped.train.topics: shipped.tasks has no such task"),
        ({"tasks": ["topics"], "train": {"topics": {"epoch": 1}}}, "shipped.train.topics: unknown field 'epoch'"),
        ({"task": []}, "shipped: unknown field 'task'"),
    ):
        with pytest.raises(ConfigError, match=message):
            parse_shipped(raw, SHIPPED)


def test_the_command_says_how_many_checkpoints_were_to_train(
    place: Place, capsys: pytest.CaptureFixture[str], one_line: Any
) -> None:
    one_line(place.build("--preset", SHIPPED, task="all"), "tasks.toml has no task for it")
    assert place.build("--preset", SHIPPED, "--until", "data") == 0
    assert "0 checkpoints to train" in capsys.readouterr().out
