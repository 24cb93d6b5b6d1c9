"""Which tasks and variants of a repository are measured, and what run.json says of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ernie_builders.config.tasks import read_tasks
from ernie_builders.errors import ConfigError
from ernie_perf.errors import PerfError
from ernie_perf.sweep.settings import TaskSelection
from ernie_perf.sweep.tasks import MeasuredTask, _config_of, _variants, select_tasks, task_names
from ernie_perf.sweep.texts import tokenize_texts
from ernie_runtime.manifest import Evaluation
from ernie_runtime.steps.pipeline import Pipeline

from ..conftest import toy_manifest, toy_variant

TASKS = """
[tasks.toy]
kind = "sequence_classification"
title = "A toy"
labels = ["north", "south"]
limits = { max_length = 32, doc_stride = 16 }
data = { format = "clue_json", folder = "toy", dev = "dev.json" }
[tasks.faulty]
kind = "no such kind"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Names are all that is looked at: `half` has a tokenizer and no ensemble."""
    for name in ("toy_tokenizer", "toy", "b_tokenizer", "b", "half_tokenizer", "toy_encoder_fp32"):
        (tmp_path / "repository" / name).mkdir(parents=True)
    return tmp_path / "repository"


def selection(repository: Path, tmp_path: Path, **changes: object) -> TaskSelection:
    (tmp_path / "tasks.toml").write_text(TASKS, encoding="utf-8")
    base = TaskSelection(repository=repository, tasks="all", tasks_file=tmp_path / "tasks.toml", texts={}, limit=10)
    return replace(base, **changes)  # type: ignore[arg-type]


def test_published_tasks(repository: Path, tmp_path: Path) -> None:
    """Those with a tokenizer and an ensemble of their own name, sorted."""
    assert task_names(repository) == ["b", "toy"]
    assert task_names(tmp_path / "repository" / "toy") == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tasks": "toy,tyo"}, "has no task 'tyo'; it has b, toy"),
        ({"tasks": "toy", "texts": {"c": Path("c.json")}}, "has no task 'c'; it has b, toy"),
        ({"tasks": " , "}, "take names joined by commas, or all"),
    ],
)
def test_names_that_are_not_there(repository: Path, tmp_path: Path, changes: dict[str, object], message: str) -> None:
    """Before anything is read; a typing error must not measure another task."""
    with pytest.raises(PerfError, match=message):
        select_tasks(selection(repository, tmp_path, **changes))


def test_variants_by_name() -> None:
    """In the manifest's order; a name that only another task has is no error."""
    variants = tuple(toy_variant(name) for name in ("fp32", "int8", "w0.75"))
    manifest = toy_manifest(variants=variants, recommended="int8")
    names = {chosen: [v.name for v in _variants(manifest, chosen)] for chosen in ("all", "recommended", "w0.75,fp32,x")}
    assert names == {"all": ["fp32", "int8", "w0.75"], "recommended": ["int8"], "w0.75,fp32,x": ["fp32", "w0.75"]}


def test_a_faulty_task_is_in_nobody_else_s_way(tmp_path: Path) -> None:
    """Its error is reported only if it is the task being measured."""
    path = tmp_path / "tasks.toml"
    path.write_text(TASKS, encoding="utf-8")
    config = _config_of(read_tasks(path), toy_manifest())
    assert config is not None and config.data.dev == "dev.json"
    with pytest.raises(ConfigError, match="faulty"):
        _config_of(read_tasks(path), toy_manifest(task="faulty"))
    assert _config_of(read_tasks(path), toy_manifest(task="unknown")) is None
    other_kind = toy_manifest(kind="token_classification", labels=toy_manifest().labels)
    assert _config_of(read_tasks(path), other_kind) is None


def test_what_run_json_says_of_a_variant(pipeline: Pipeline) -> None:
    """Its accuracy on the task's own rows, what it lost, what the build measured; nothing where that is not known."""
    evaluation = Evaluation(split="dev", rows=10, metrics={"accuracy": 52.5}, by="a test")
    fp32 = toy_variant("fp32", bytes=30, evaluations=(evaluation,))
    int8 = toy_variant("int8", made={"precision": "int8"}, gate={"drop": 0.4}, speed={"best": {"ratio": 2.5}})
    manifest = toy_manifest(variants=(fp32, int8))
    texts = tokenize_texts(pipeline, [("今天",)], "dev.json", 5)
    about = MeasuredTask(manifest=manifest, variants=manifest.variants, texts=texts).describe()
    assert (about.kind, about.version, about.metric, about.max_length) == ("sequence_classification", 3, "accuracy", 32)
    first, second = about.variants["fp32"], about.variants["int8"]
    assert (first.precision, first.figure, first.drop, first.ratio, first.bytes) == ("fp32", 52.5, None, None, 30)
    assert (second.precision, second.figure, second.drop, second.ratio) == ("int8", None, 0.4, 2.5)
