"""Publishing: a server that reads the repository at any moment sees only whole models; old versions stay."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.config.tasks import load_tasks
from ernie_builders.errors import PublishError
from ernie_builders.options import parse
from ernie_builders.repository.staging import check_free
from ernie_builders.stages import publish
from ernie_builders.stages.context import Context
from ernie_builders.stages.order import run_task
from ernie_builders.stages.selection import make_context, requested_tasks
from ernie_builders.stages.stage import Finished
from ernie_runtime.steps.pipeline import Pipeline

from ..command_line import OneLine
from ..places import Place, change_times, contents

MODELS = ("topics", "topics_encoder_fp32", "topics_fp32", "topics_postprocess", "topics_tokenizer")


@pytest.fixture
def place(finished: Place, tmp_path: Path) -> Place:
    """A finished build with a repository of its own, not published to yet."""
    shutil.copytree(finished.cache, tmp_path / "cache")
    return replace(finished, root=tmp_path)


def ready_to_publish(place: Place) -> tuple[Context, Finished]:
    request = parse(place.arguments())
    (task,) = requested_tasks(request, load_tasks(request.tasks_file))
    context = make_context(task, request, None)
    return context, run_task(context, "evaluate")


def versions(place: Place) -> dict[str, list[str]]:
    return {m.name: sorted(v.name for v in m.iterdir() if v.name.isdigit()) for m in place.output.iterdir()}


def test_the_published_model_answers(place: Place, characters: list[str]) -> None:
    assert place.build() == 0
    assert versions(place) == {name: ["1"] for name in MODELS}
    (answer,) = Pipeline.load(place.output, "topics").predict([("".join(characters[:9]),)])
    assert not isinstance(answer, str)
    assert answer.result["label"] in ("north", "south", "west")
    manifests = {(place.output / name / "1" / "manifest.json").read_bytes() for name in MODELS}
    (manifest,) = map(json.loads, manifests)
    assert manifest["made_by"]["trained"] is True
    assert manifest["variants"][0]["evaluations"][0]["rows"] == 60


def test_the_same_build_again_changes_nothing(place: Place) -> None:
    assert place.build() == 0
    before = contents(place.output)
    times = change_times(place.output)
    assert place.build() == 0
    assert contents(place.output) == before
    assert change_times(place.output) == times


def test_another_build_is_a_new_version_beside_the_old(place: Place) -> None:
    assert place.build() == 0
    before = contents(place.output)
    text = place.tasks_file.read_text(encoding="utf-8").replace('title = "Topics"', 'title = "Topics, again"')
    (place.root / "tasks.toml").write_text(text, encoding="utf-8")
    retitled = replace(place, tasks_file=place.root / "tasks.toml")
    assert retitled.build() == 0
    assert versions(place) == {name: ["1", "2"] for name in MODELS}
    after = contents(place.output)
    first_version = {name: content for name, content in before.items() if "/1/" in name}
    assert len(first_version) >= 7
    assert {name: after[name] for name in first_version} == first_version
    assert json.loads(after["topics/2/manifest.json"])["title"] == "Topics, again"
    assert b"Topics, again" in after["topics/config.pbtxt"]
    assert place.build() == 0, "and back again"
    assert versions(place) == {name: ["1", "2", "3"] for name in MODELS}


@pytest.mark.parametrize(
    "deleted",
    ["topics_encoder_fp32", "topics", "topics_tokenizer/1/tokenizer.json", "topics_postprocess/config.pbtxt"],
)
def test_deleted_files_are_published_again_as_a_new_version(place: Place, deleted: str) -> None:
    assert place.build() == 0
    path = place.output / deleted
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    assert place.build() == 0
    assert {numbers[-1] for numbers in versions(place).values()} == {"2"}
    assert path.exists() or path.parent.name == "1"
    assert not isinstance(Pipeline.load(place.output, "topics").predict([("的",)])[0], str)
    before = contents(place.output)
    assert place.build() == 0
    assert contents(place.output) == before


def faults_of(output: Path, expected: dict[str, set[str]]) -> list[str]:
    """What a server would fail on if it listed the repository now."""
    all_faults = []
    for model in output.iterdir():
        inode, faults = model.stat().st_ino, []
        if not (model / "config.pbtxt").is_file():
            faults.append(f"{model.name}: no config.pbtxt")
        version_folders = [p for p in model.iterdir() if p.name.isdigit()]
        if not version_folders:
            faults.append(f"{model.name}: no version")
        for version in version_folders:
            files = {str(p.relative_to(version)) for p in version.rglob("*") if p.is_file()}
            if files != expected[model.name]:
                faults.append(f"{model.name}/{version.name}: {sorted(files)}")
        if model.stat().st_ino == inode:  # else a new model replaced it meanwhile, which the next look checks
            all_faults += faults
    return all_faults


def test_a_reader_never_sees_half_a_model(place: Place, finished: Place) -> None:
    context, finished_stages = ready_to_publish(place)
    expected = {
        m.name: {str(p.relative_to(m / "1")) for p in (m / "1").rglob("*") if p.is_file()}
        for m in finished.output.iterdir()
    }
    encoder_files = {file for file in expected["topics_encoder_fp32"] if not file.startswith("published/warmup/")}
    assert encoder_files == {
        "manifest.json",
        "published/config.pbtxt",
        "published/configs/ragged.pbtxt",
        "published/configs/tensorrt.pbtxt",
        "model.onnx",
        "tokenizer.json",
        "paddle/model.json",
        "paddle/model.pdiparams",
    }
    place.output.mkdir()
    stop, faults, looks, models_seen = threading.Event(), list[str](), [0], set[str]()

    def look() -> None:
        while not stop.wait(0.001):
            try:
                faults.extend(faults_of(place.output, expected))
                faults.extend(f"{name}: gone" for name in models_seen if not (place.output / name).is_dir())
                models_seen.update(path.name for path in place.output.iterdir())
            except FileNotFoundError:
                continue  # a directory was swapped while it was being listed; the next look sees the new one
            looks[0] += 1

    reader = threading.Thread(target=look)
    reader.start()
    try:
        for _ in range(8):
            publish.run(context, finished_stages, place.root)
    finally:
        stop.set()
        reader.join(20)
    assert faults == []
    assert looks[0] > 8
    assert versions(place) == dict.fromkeys(MODELS, sorted(map(str, range(1, 9))))
    assert [p.name for p in place.root.iterdir() if p.name.startswith(".")] == []


def test_concurrent_builds_lose_no_version(place: Place) -> None:
    context, finished_stages = ready_to_publish(place)
    faults = []

    def work() -> None:
        try:
            for _ in range(4):
                publish.run(context, finished_stages, place.root)
        except Exception as error:
            faults.append(error)

    workers = [threading.Thread(target=work) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert faults == []
    assert versions(place) == dict.fromkeys(MODELS, sorted(map(str, range(1, 13))))


def test_leftovers_of_a_killed_publisher_are_removed(place: Place) -> None:
    leftover = place.root / f".{place.output.name}.topics.new" / "topics"
    leftover.mkdir(parents=True)
    assert place.build() == 0
    assert not leftover.parent.exists()
    assert versions(place) == {name: ["1"] for name in MODELS}


def test_a_model_of_another_task_is_not_replaced(place: Place, tmp_path: Path, one_line: OneLine) -> None:
    """The other task is in another tasks file; this is checked before anything is built and again when publishing."""
    assert place.build() == 0
    before = change_times(place.output)
    tasks = tmp_path / "other.toml"
    tasks.write_text(place.tasks_file.read_text(encoding="utf-8").replace("tasks.topics", "tasks.topics_fp32"))
    other_place = replace(place, tasks_file=tasks)
    one_line(
        other_place.build(task="topics_fp32"), "topics_fp32: is a model of task topics, and task topics_fp32 would"
    )
    with pytest.raises(PublishError, match="is a model of task topics"):
        check_free(place.output, "topics_fp32", ["topics_fp32"])
    check_free(place.output, "topics", ["topics", "topics_fp32", "topics_encoder_fp32", "no_such_model"])
    assert change_times(place.output) == before
