"""The texts that a task is measured with: which file, which of its texts, and how they are described."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ernie_builders.config.tasks import ASSETS, DataConfig, TaskConfig
from ernie_builders.errors import DataError
from ernie_perf.errors import PerfError
from ernie_perf.sweep.texts import find_texts, tokenize_texts
from ernie_runtime.manifest import Limits
from ernie_runtime.steps.pipeline import Pipeline

from ..conftest import toy_manifest


def config(sample: str = "") -> TaskConfig:
    """As a tasks file declares it: CLUE's JSON lines."""
    manifest = toy_manifest()
    data = DataConfig(
        format="clue_json",
        folder="toy",
        train="train.json",
        dev="dev.json",
        fields={"text": "sentence", "label": "label"},
        sample=sample,
    )
    return TaskConfig(
        name="toy", kind=manifest.kind, title="A toy", labels=manifest.labels, limits=manifest.limits, data=data
    )


def write(path: Path, *texts: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    rows = [{"sentence": text, "label": "north"} for text in texts]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")
    return path


def test_a_file_comes_before_everything_else(tmp_path: Path) -> None:
    """--texts TASK=FILE, in the format of the tasks file; its order is kept."""
    file = write(tmp_path / "mine.json", "三", "一", "二")
    write(tmp_path / "data" / "toy" / "dev.json", "四")
    texts_and_source = find_texts(toy_manifest(), config(), file, tmp_path / "data", tmp_path / "cache")
    assert texts_and_source == ([("三",), ("一",), ("二",)], "mine.json")


def test_the_dev_set_of_the_data_folder(tmp_path: Path) -> None:
    """--data-dir: the task's folder in it. A folder that lacks the task is named, not silently replaced."""
    write(tmp_path / "data" / "toy" / "dev.json", "四", "五")
    texts_and_source = find_texts(toy_manifest(), config("samples/tnews"), None, tmp_path / "data", tmp_path / "cache")
    assert texts_and_source == ([("四",), ("五",)], "dev.json")
    with pytest.raises(DataError, match="no such directory"):
        find_texts(toy_manifest(), config(), None, tmp_path / "nowhere", tmp_path / "cache")


def test_the_sample_that_ships_then_the_examples(tmp_path: Path) -> None:
    """Without --data-dir. A task without a sample, or that no tasks file has, still has its manifest's examples."""
    rows = (ASSETS / "samples" / "tnews" / "dev.json").read_text(encoding="utf-8").splitlines()
    labels = {json.loads(row)["label"] for row in rows}
    manifest = toy_manifest(labels=tuple(type(toy_manifest().labels[0])(name, name) for name in sorted(labels)))
    items, source = find_texts(manifest, config("samples/tnews"), None, None, tmp_path)
    assert source == "dev.json" and items == [(json.loads(row)["sentence"],) for row in rows]
    examples = ([("今天",), ("明天天气",)], "examples of the manifest")
    assert find_texts(toy_manifest(), config(), None, None, tmp_path) == examples
    assert find_texts(toy_manifest(), None, None, None, tmp_path) == examples


def test_a_file_that_nothing_says_how_to_read(tmp_path: Path) -> None:
    """The tasks file has no such task: which option would help is said."""
    with pytest.raises(PerfError, match=r"--texts toy=.*mine\.json: the tasks file has no task toy; --tasks-file"):
        find_texts(toy_manifest(), None, write(tmp_path / "mine.json", "一"), None, tmp_path)


def test_texts_that_the_task_cannot_answer_are_left_out(pipeline: Pipeline) -> None:
    """Longer than max_chars (60). Only the first `limit` texts are looked at; the windows are those of what is left."""
    items = [("今天",), ("长" * 61,), ("明天天气",), ("后天",)]
    texts = tokenize_texts(pipeline, items, "dev.json", 3)
    assert (texts.items, texts.skipped, texts.source) == ((("今天",), ("明天天气",)), 1, "dev.json")
    assert [(window.owner, len(window.input_ids)) for window in texts.windows] == [(0, 4), (1, 6)]
    with pytest.raises(PerfError, match="task toy: no text to measure with; give --texts or --data-dir"):
        tokenize_texts(pipeline, items[1:2], "dev.json", 3)


def test_lengths_are_those_of_a_text(pipeline: Pipeline) -> None:
    """All of its windows together, special tokens included; here one is cut into two windows."""
    manifest = toy_manifest(limits=Limits(max_length=8, doc_stride=4, max_chars=60))
    cut = Pipeline(manifest, pipeline.tokenizer, pipeline.engine)
    texts = tokenize_texts(cut, [("今天",), ("今天天气很好我们",)], "dev.json", 10)
    window_owners = [window.owner for window in texts.windows]
    long = sum(len(window.input_ids) for window in texts.windows if window.owner == 1)
    described = texts.describe()
    assert window_owners.count(0) == 1 and window_owners.count(1) > 1
    assert (described.texts, described.windows, described.skipped) == (2, len(window_owners), 0)
    assert (described.tokens_max, described.tokens_mean) == (long, (4 + long) / 2)


def test_the_hash_tells_other_texts_and_another_order(pipeline: Pipeline) -> None:
    """Two runs are compared only where they sent the same; neither file name nor machine matters."""
    today, tomorrow = ("今天",), ("明天",)
    hashes = [
        tokenize_texts(pipeline, items, source, 10).describe().sha256
        for items, source in (
            ([today, tomorrow], "a"),
            ([today, tomorrow], "b"),
            ([tomorrow, today], "a"),
            ([today], "a"),
        )
    ]
    assert hashes[0] == hashes[1] and len(set(hashes)) == 3
