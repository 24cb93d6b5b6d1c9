"""--dry-run: what it tells of a build, and that it leaves everything as it is."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from builders import build_all
from builders.config import load_tasks
from builders.kinds import get_builder_kind
from builders.presets import load_presets

from .conftest import Place

OneLine = Callable[..., str]
Plan = Callable[..., str]
SCRIPT = Path(build_all.__file__)
PRESETS = load_presets()
SHIPPED = load_tasks()
# Runs the command line where a file that is opened for writing, a new directory or a look at the network ends it.
STRICT = """
import os, sys
from builders import build_all
from builders.stages import data, evaluate, export, finetune, publish

WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
NEVER = ("socket.connect", "socket.getaddrinfo", "os.mkdir", "os.rename", "os.remove", "shutil.rmtree", "tempfile.")

def watch(event, arguments):
    if event.startswith(NEVER) or (event == "open" and arguments[2] & WRITING):
        raise RuntimeError(f"a plan must not do this: {event} {arguments}")

sys.addaudithook(watch)
code = build_all.main(sys.argv[1:])
found = [name for name in sys.modules if name.split(".")[0] in ("paddle", "paddlenlp", "paddle2onnx")]
sys.exit(f"imported: {found}" if found else code)
"""


@pytest.fixture
def plan(place: Place, capsys: pytest.CaptureFixture[str]) -> Plan:
    """The plan of a command line over the place's tasks; nothing may have been made."""

    def run(*more: str, task: str = "topics") -> str:
        assert place.build("--dry-run", *more, task=task) == 0
        assert not place.cache.exists() and not place.output.exists()
        return capsys.readouterr().out

    return run


def command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The plan of a command line over the tasks that ship."""
    assert build_all.main(["--dry-run", *arguments]) == 0
    return capsys.readouterr().out


def row(text: str, label: str) -> str:
    """The text behind a label."""
    (found,) = re.findall(rf"^  {label} +(.*)$", text, re.M)
    return str(found)


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


def test_it_tells_what_the_build_then_does(finished: Place, capsys: pytest.CaptureFixture[str]) -> None:
    """The same command line after its build: every stage is found, and the steps were those."""
    before = sorted((path, path.stat().st_mtime_ns) for path in finished.root.rglob("*"))
    assert finished.build("--dry-run") == 0
    text = capsys.readouterr().out
    figures = json.loads((finished.stage("fine-tune") / "done.json").read_text(encoding="utf-8"))["figures"]
    assert row(text, "steps").startswith(f"{figures['batches']} of 16 rows")
    assert len(re.findall(r"(data|fine-tune|export|evaluate|publish) +finished: ", text)) == 5
    assert f"{figures['accuracy']:.2f} at batch" in text
    assert row(text, "output").endswith("version 2, after version 1")

    assert finished.build("--dry-run", "--set", "epochs=3") == 0
    text = capsys.readouterr().out
    assert re.search(r"data +finished: ", text) and re.search(r"fine-tune +runs$", text, re.M)
    assert re.search(r"publish +runs$", text, re.M)
    assert finished.build("--dry-run", "--until", "finetune") == 0
    assert "export" not in capsys.readouterr().out
    assert before == sorted((path, path.stat().st_mtime_ns) for path in finished.root.rglob("*"))


def test_a_stage_that_was_interrupted(finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cache = tmp_path / "cache"
    shutil.copytree(finished.cache, cache)
    (done,) = (cache / "topics" / "fine-tune").glob("*/done.json")
    done.parent.rename(done.parent.with_name(f"{done.parent.name}.partial"))
    assert finished.build("--dry-run", "--cache", str(cache)) == 0
    assert re.search(r"fine-tune +goes on$", capsys.readouterr().out, re.M)


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
    assert re.search(r"builders/assets/samples/msra_ner/dev\.txt: \d+ rows$", text, re.M)
    text = command("--tasks", "tnews", "--preset", "tnews", "--cache", str(tmp_path / "cache"), capsys=capsys)
    assert row(text, "base model").startswith("embedded, "), "a preset trains"
    assert re.search(
        r"samples/tnews/train\.json: (not in the sample that ships: give --data-dir|\d+ rows)$", text, re.M
    )
    assert re.search(r"learning_rate +5e-05 +preset tnews$", text, re.M)


def test_data_that_is_not_there(plan: Plan, place: Place, tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    (empty / "topics").mkdir(parents=True)
    text = plan("--data-dir", str(empty))
    assert row(text, "data") == f"train {empty}/topics/train.json: missing"
    assert "how many is known once the training rows are" in row(text, "steps")
    assert row(text, "stages").startswith(f"stops      {empty}/topics/train.json: no such file")
    (empty / "topics" / "train.json").write_text("{}\n", encoding="utf-8")
    assert "train.json: cannot be read: " in row(plan("--data-dir", str(empty)), "data")
    assert "no such directory" in row(plan("--data-dir", str(tmp_path / "none")), "stages")


def test_data_in_an_archive(plan: Plan, place: Place, tmp_path: Path) -> None:
    packed = tmp_path / "packed"
    packed.mkdir()
    with tarfile.open(packed / "topics.tar.xz", "w:xz") as tar:
        tar.add(place.data_dir / "topics", "topics")
    text = plan("--data-dir", str(packed))
    assert row(text, "data").endswith("train.json: in topics.tar.xz; a build unpacks it")
    assert "(not looked up: the data is in an archive)" in text


def test_an_archive_that_was_unpacked(place: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Found where a build leaves it."""
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


def test_devices_and_accumulation(plan: Plan) -> None:
    text = plan("--devices", "0,1", "--set", "accumulate=2", "--set", "epochs=1")
    assert row(text, "steps").startswith("3 of 16 rows x 4 (1 epoch of 15 batches)")


def test_base_models(plan: Plan) -> None:
    assert row(plan("--base-model", "random:2x64x2"), "base model") == "random:2x64x2, drawn from --seed"
    text = plan("--base-model", "ernie-3.0-bas-zh")
    assert "did you mean ernie-3.0-base-zh or ernie-3.0-xbase-zh?" in row(text, "shape")
    text = plan("--base-model", "poetry")
    assert row(text, "stages").startswith("stops      --base-model poetry: neither `embedded`, nor a directory")


@pytest.mark.parametrize("name", PRESETS.presets)
def test_every_preset(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a model it is published for; where no task has it yet, the entry that the plan prints makes one."""
    preset = PRESETS.presets[name]
    model = next((row for row in preset.by if row in PRESETS.models), "ernie-1.0" if preset.language == "zh" else "")
    model = model or "ernie-2.0-base-en"
    text = command("--preset", name, "--base-model", model, "--profile", "full", capsys=capsys)
    choice = PRESETS.choose(preset, model)
    assert row(text, "preset") == f"{name}: {choice.origin}"
    for key in ("batch_size", "learning_rate", "epochs"):
        assert re.search(rf"{key} +{choice.train[key]} +preset {name}$", text, re.M)
    task = preset.tasks[0]
    assert f"[{task}] " in text
    if task in SHIPPED:
        assert "Add " not in text and "stages" in text
        return
    assert "Add this entry to a tasks file (--tasks-file):" in text
    entry = tmp_path / "mine.toml"
    entry.write_text(text[text.index(f"[tasks.{task}]") :], encoding="utf-8")
    made = load_tasks(entry)[task]
    assert made.kind == preset.kind and made.base_model == model
    assert choice.apply(made) == made, "the entry already holds the preset's values"
    again = command("--preset", name, "--base-model", model, "--tasks-file", str(entry), capsys=capsys)
    assert row(again, "lengths").startswith(f"max_length {choice.max_length} tokens")
    assert "Add " not in again


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
    one = command("--preset", "all", "--base-model", "embedded", capsys=capsys).splitlines()
    assert len(one) == 1 + len(PRESETS.presets) + 2


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


@pytest.mark.parametrize(
    "arguments",
    [
        ["--preset", "published", "--base-model", "ernie-3.0-base-zh", "--profile", "full"],
        ["--preset", "cola", "--base-model", "ernie-2.0-large-en"],
        ["--tasks", "tnews,msra_ner"],
        ["--preset", "all"],
    ],
)
def test_nothing_is_downloaded_written_or_imported(arguments: list[str], tmp_path: Path) -> None:
    packages = [SCRIPT.parents[1], SCRIPT.parents[1] / "python_backends"]
    done = subprocess.run(
        [sys.executable, "-B", "-c", STRICT, "--dry-run", *arguments],
        env={"PYTHONPATH": ":".join(map(str, packages)), "PATH": "/usr/bin:/bin"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert list(tmp_path.iterdir()) == []


def test_a_closed_pipe() -> None:
    """`| head`: no complaint."""
    process = subprocess.Popen(
        [sys.executable, str(SCRIPT), "--dry-run", "--preset", "all"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stderr is not None
    with process.stdout, process.stderr:
        assert process.stdout.readline().startswith("PRESET")
        process.stdout.close()
        assert process.stderr.read() == ""
    assert process.wait(60) == 0
