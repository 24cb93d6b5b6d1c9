"""--dry-run with --preset: the origin of the figures, the entry to add, and the list of all presets."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ernie_builders.config.tasks import load_tasks
from ernie_builders.presets.loading import load_presets

from ..command_line import Plan, command, row

PRESETS = load_presets()
SHIPPED = load_tasks()


def test_a_preset(plan: Plan) -> None:
    text = plan("--preset", "csl", "--base-model", "ernie-3.0-tiny-nano-v2-zh", "--set", "epochs=2.5", "--seed", "42")
    assert row(text, "base model") == "ernie-3.0-tiny-nano-v2-zh, downloaded by PaddleNLP when the build runs"
    assert row(text, "parameters").startswith("17.9 M (12.5 M of them word embeddings)")
    assert row(text, "preset") == (
        "csl: fallback: this set has nothing for ernie-3.0-tiny-nano-v2-zh; taken from ernie-3.0-nano-zh"
    )
    assert "accuracy of ernie-3.0-tiny-nano-v2-zh there: 76.37 on the dev set" in text
    assert "with hyperparameters that are not published" in text
    assert "seed 42 there" not in text
    assert row(text, "lengths").startswith("max_length 256 tokens (preset csl), doc_stride 192 (in proportion)")
    for name, value, origin in (
        ("epochs", "2.5", "--set"),
        ("batch_size", "32", "preset csl"),
        ("amp", "True", "default"),
    ):
        assert re.search(rf"{name} +{re.escape(value)} +{origin}$", text, re.M)
    assert row(text, "steps").startswith("20 of 32 rows (2.5 epochs of 8 batches)")
    assert "(not looked up: the base model is not on this machine)" in text


def test_a_preset_of_another_language_and_seed(plan: Plan) -> None:
    text = plan("--preset", "hierarchical", "--base-model", "ernie-2.0-base-en")
    assert "the preset is for models of language zh, ernie-2.0-base-en is en" in text
    assert "seed 3 there; here --seed 0" in text
    assert "besides: the rate stays constant" in text
    assert "fallback: this set has nothing for ernie-2.0-base-en; taken from ernie-3.0-medium-zh" in text


def test_no_preset_for_a_task(plan: Plan) -> None:
    text = plan("--preset", "published")
    assert row(text, "preset") == "none is published for topics: tasks.toml decides"
    assert re.search(r"learning_rate +0\.005 +tasks\.toml$", text, re.M)


@pytest.mark.parametrize("name", PRESETS.presets)
def test_every_preset(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a model it is published for; where no task has it, the entry that the plan prints adds one."""
    preset = PRESETS.presets[name]
    model = next((row for row in preset.by if row in PRESETS.models), "ernie-1.0" if preset.language == "zh" else "")
    model = model or "ernie-2.0-base-en"
    text = command("--preset", name, "--base-model", model, "--profile", "full", capsys=capsys)
    choice = PRESETS.choose(preset, model)
    assert row(text, "preset") == f"{name}: {choice.origin}"
    for key in ("batch_size", "learning_rate", "epochs"):
        assert re.search(rf"{key} +{choice.train[key]} +preset {name}$", text, re.M)
    task_name = preset.tasks[0]
    assert f"[{task_name}] " in text
    if task_name in SHIPPED:
        assert "Add " not in text and "stages" in text
        return
    assert "Add this entry to a tasks file (--tasks-file):" in text
    entry = tmp_path / "tasks.toml"
    entry.write_text(text[text.index(f"[tasks.{task_name}]") :], encoding="utf-8")
    task = load_tasks(entry)[task_name]
    assert task.kind == preset.kind and task.base_model == model
    assert choice.apply(task) == task, "the entry already holds the preset's values"
    second_plan = command("--preset", name, "--base-model", model, "--tasks-file", str(entry), capsys=capsys)
    assert row(second_plan, "lengths").startswith(f"max_length {choice.max_length} tokens")
    assert "Add " not in second_plan


def test_a_task_that_another_file_has(tasks_file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = command("--preset", "tnews", "--tasks-file", str(tasks_file), capsys=capsys)
    assert "The tasks.toml that ships has this task: copy its entry." in text
    assert "15: news_story, news_culture" in text


def test_set_wins_in_the_entry_too(capsys: pytest.CaptureFixture[str]) -> None:
    text = command("--preset", "cmnli", "--set", "epochs=9", capsys=capsys)
    assert re.search(r"epochs +9 +--set$", text, re.M)
    assert "\nepochs = 9\n" in text


def test_all_presets(capsys: pytest.CaptureFixture[str]) -> None:
    lines = command("--preset", "all", capsys=capsys).splitlines()
    assert lines[0].split() == ["PRESET", "BASE", "MODEL", "BATCH", "RATE", "EPOCHS", "LENGTH", "FIGURES"]
    models = {
        language: [m.name for m in PRESETS.models.values() if m.language == language] for language in ("zh", "en")
    }
    pairs = [(preset.name, model) for preset in PRESETS.presets.values() for model in models[preset.language]]
    assert [tuple(line.split()[:2]) for line in lines[1:-2]] == pairs
    (nano,) = (line for line in lines if line.startswith("tnews ") and " ernie-3.0-nano-zh " in line)
    assert nano.split()[2:] == ["16", "5e-05", "3", "128", "its", "own"]
    assert len({line.index("  its own") for line in lines if line.endswith("  its own")}) == 1, "aligned"
    embedded_lines = command("--preset", "all", "--base-model", "embedded", capsys=capsys).splitlines()
    assert len(embedded_lines) == 1 + len(PRESETS.presets) + 2
