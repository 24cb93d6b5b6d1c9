"""Ranking from data to repository, trained and from a pair classifier's weights."""

from __future__ import annotations

import json
import random
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.config.tasks import ASSETS, load_tasks
from ernie_builders.readers.bio_columns import read as bio_columns
from ernie_runtime.steps.pipeline import Pipeline

from ..command_line import OneLine
from ..places import Place


def write_pairs(path: Path, pairs: Sequence[tuple[str, str, int]]) -> Path:
    rows = [json.dumps({"a": a, "b": b, "label": str(label)}, ensure_ascii=False) for a, b, label in pairs]
    path.write_text("\n".join(rows), encoding="utf-8")
    return path


QUERIES = {"PER": "人", "LOC": "地", "ORG": "会"}


def candidate_rows(split: str, count: int) -> list[dict[str, Any]]:
    """Real sentences as candidates: those that name a person, a place or an organisation, as the query asks."""
    sentences = list(bio_columns(ASSETS / "samples/msra_ner" / f"{split}.txt", {}))
    generator = random.Random(0)
    rows: list[dict[str, Any]] = []
    while len(rows) < count:
        query, drawn = generator.choice(list(QUERIES)), generator.sample(sentences, 4)
        positives = [i for i, e in enumerate(drawn) if any(kind == query for _, _, kind in e.target)]
        if 0 < len(positives) < 4:
            candidates = [e.texts[0] for e in drawn]
            rows.append({"query": QUERIES[query], "candidates": candidates, "positives": positives})
    return rows


TASKS = """
[tasks.search]
kind = "ranking"
labels = ["0", "1"]
examples = [["人", '["的一不是"]'], ["人", '["的一不是", "有人了在用"]']]
[tasks.search.limits]
max_length = 64
doc_stride = 16
overflow = "truncate"
[tasks.search.data]
format = "ranking_json"
folder = "search"
train = "train.json"
dev = "dev.json"
[tasks.search.train]
epochs = 1
batch_size = 16
learning_rate = 5e-3
dropout = 0.0

[tasks.pair]
kind = "pair_classification"
labels = ["0", "1"]
examples = [["人", "的一不是"]]
[tasks.pair.limits]
max_length = 64
doc_stride = 16
overflow = "truncate"
[tasks.pair.data]
format = "clue_json"
folder = "search"
dev = "pairs.json"
fields = { text = "a", text_pair = "b", label = "label" }
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, base_model: Path) -> Place:
    """The task `search`, trained and published, and `pair` from its weights."""
    root = tmp_path_factory.mktemp("search")
    (root / "tasks.toml").write_text(TASKS, encoding="utf-8")
    folder = root / "data" / "search"
    folder.mkdir(parents=True)
    for split, count in (("train", 300), ("dev", 150)):
        rows = [json.dumps(row, ensure_ascii=False) for row in candidate_rows(split, count)]
        (folder / f"{split}.json").write_text("\n".join(rows), encoding="utf-8")
    write_pairs(folder / "pairs.json", [("人", "的一不是", 0)])
    place = Place(root / "tasks.toml", root / "data", base_model, root)
    assert place.build(task="search") == 0
    best = place.stage("fine-tune", "search") / "best"
    assert place.build("--checkpoint", f"pair={best}", task="pair") == 0
    return place


@pytest.mark.slow
def test_training_beats_the_untrained_head(trained: Place, tmp_path: Path) -> None:
    untrained = replace(trained, root=tmp_path)
    assert untrained.build("--set", "learning_rate=1e-12", "--until", "evaluate", task="search") == 0
    before, after = (place.figures("evaluate", "search") for place in (untrained, trained))
    assert before["rows"] == after["rows"] == 150
    assert after["main"] == "mrr"
    assert after["metrics"]["mrr"] > before["metrics"]["mrr"] + 4
    assert after["metrics"]["accuracy_at_1"] > before["metrics"]["accuracy_at_1"] + 4
    assert after["wrong"] == round(150 * (1 - after["metrics"]["accuracy_at_1"] / 100))


def test_the_same_weights_serve_both_kinds(trained: Place) -> None:
    """A candidate's score is the one that the pair classifier with the same weights gives."""
    ranking, pair = Pipeline.load(trained.output, "search"), Pipeline.load(trained.output, "pair")
    rows = candidate_rows("dev", 10)
    answers = ranking.predict([(row["query"], json.dumps(row["candidates"])) for row in rows])
    for row, answer in zip(rows, answers, strict=True):
        assert not isinstance(answer, str)
        scores = {entry["index"]: entry["score"] for entry in answer.result["ranking"]}
        for index, single in enumerate(pair.predict([(row["query"], text) for text in row["candidates"]])):
            assert not isinstance(single, str)
            expected = next(top["score"] for top in single.result["top"] if top["label"] == "1")
            assert scores[index] == pytest.approx(expected, abs=1e-5)


def test_a_task_with_another_s_checkpoint_has_only_its_own_figures(
    trained: Place, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What ships is the pair classifier, with its card: its accuracy is none of the ranking's figures."""
    from ernie_builders import build_all
    from ernie_builders.stages import selection

    shutil.copytree(trained.stage("fine-tune", "search") / "best", tmp_path / "shipped")
    figures = [{"mrr": 60.0, "accuracy_at_1": 40.0}, {"accuracy": 70.0}]
    rows = [{"split": "dev", "rows": 9, "metrics": metrics, "by": "the builder"} for metrics in figures]
    (tmp_path / "shipped" / "card.json").write_text(json.dumps({"evaluations": rows}), encoding="utf-8")
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(TASKS.replace('kind = "ranking"', 'kind = "ranking"\ncheckpoint = "shipped"'), encoding="utf-8")
    monkeypatch.setattr(selection, "ASSETS", tmp_path)
    arguments = ["--tasks", "search", "--tasks-file", str(tasks), "--cache", str(tmp_path / "cache")]
    assert build_all.main([*arguments, "--output", str(tmp_path / "models")]) == 0
    (variant,) = Pipeline.load(tmp_path / "models", "search").manifest.variants
    assert [e.metrics for e in variant.evaluations] == figures[:1]


def test_faulty_lines_are_reported(trained: Place, tmp_path: Path, one_line: OneLine) -> None:
    folder = tmp_path / "data" / "search"
    folder.mkdir(parents=True)
    good = json.dumps(candidate_rows("dev", 1)[0])
    (folder / "dev.json").write_text(good, encoding="utf-8")
    (folder / "train.json").write_text(f'{good}\n{{"query": "q", "candidates": ["a"], "positives": [1]}}', "utf-8")
    place = replace(trained, data_dir=tmp_path / "data", root=tmp_path)
    one_line(place.build(task="search"), "train.json:2: 1 is no index of one of 1 candidates")


def test_the_tasks_that_ship() -> None:
    tasks = load_tasks()
    ranking, pair = tasks["faq_ranking"], tasks["afqmc"]
    assert ranking.labels == pair.labels, "a pair classifier's checkpoint can rank, and the other way round"
    assert pair.base_model == "shipped:faq_ranking"
    embedding, similarity = tasks["sentence_embedding"], tasks["stsb_zh"]
    assert embedding.base_model == similarity.base_model, "the one untrained, the other trained from it"
    for name in ("dimension", "pooling", "prefixes"):
        assert embedding.options[name] == similarity.options[name]
