"""Hierarchical labels when building: files, metrics, thresholds fitted on data, training on real sentences."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import ASSETS, load_tasks
from ernie_builders.config.train import TrainConfig
from ernie_builders.kinds.hierarchical_classification import KIND, expected_labels
from ernie_builders.metrics.class_report import ClassRow, write_classes
from ernie_builders.metrics.thresholds import SCHEMES, micro_f1
from ernie_builders.readers import Example, get_reader
from ernie_builders.readers.bio_columns import read as bio_columns
from ernie_builders.stages.draft import draft_manifest
from ernie_builders.training.trainer import Job, Trainer
from ernie_runtime.kinds import Answer, WindowOutput, get_kind
from ernie_runtime.kinds.hierarchical_classification import tree_of
from ernie_runtime.manifest import Label, Manifest
from ernie_runtime.text.windows import Document

from ..places import Place
from ..tiny import CONFIG, manifest_with, random_hugging_face, write_hugging_face

NAMES = ("人生", "人生##结婚", "人生##离婚", "灾害", "灾害##地震")
TASK = """
[tasks.events]
kind = "hierarchical_classification"
title = "Events"
labels = ["north", "north##cold", "south", "south##warm", "south##wet"]
examples = ["的一不是"]
[tasks.events.limits]
max_length = 32
doc_stride = 24
[tasks.events.data]
format = "hierarchy_tsv"
folder = "events"
train = "train.txt"
dev = "dev.txt"
[tasks.events.train]
epochs = 2
batch_size = 16
learning_rate = 5e-3
dropout = 0.0
evals_per_epoch = 1
"""


@pytest.fixture
def events() -> Manifest:
    labels = tuple(Label(f"e{i}", name) for i, name in enumerate(NAMES))
    return replace(manifest_with(2, "hierarchical_classification"), labels=labels, main_metric="micro_f1")


def examples(*targets: Sequence[str]) -> list[Example]:
    return [Example((f"第{i}",), list(target), i) for i, target in enumerate(targets)]


def answers(manifest: Manifest, *label_rows: Sequence[int]) -> list[Answer | str]:
    """Answers with the labels of these numbers (and their parents), a row each."""
    rows = np.full((len(label_rows), len(manifest.labels)), -4, np.float32)
    for row, columns in zip(rows, label_rows, strict=True):
        row[list(columns)] = 4
    outputs = [[WindowOutput(np.zeros((3, 2), np.int32), {"logits": row})] for row in rows]
    return [
        *get_kind(manifest.kind).decode(
            [Document(text="", tokens=1, windows=1, truncated=False)] * len(rows), outputs, manifest
        )
    ]


def test_reader(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("\ufeff地震了\t灾害##地震,灾害, 灾害\r\n\n无事\t\n", encoding="utf-8")
    assert list(get_reader("hierarchy_tsv")(path, {})) == [
        Example(("地震了",), ["灾害", "灾害##地震"], 1),
        Example(("无事",), [], 3),
    ]


def test_check(events: Manifest) -> None:
    good, empty, unknown, typo = examples(["e1", "e0"], [], ["zzz"], ["e11"])
    assert KIND.check(good, events) is None
    assert KIND.check(empty, events) is None
    assert KIND.check(unknown, events) == "label 'zzz' is none of the task's 5"
    assert KIND.check(typo, events) == "label 'e11' is none of the task's 5; the nearest is 'e1'"
    assert "expected a list of labels" in str(KIND.check(replace(good, target="e1"), events))


def test_targets_are_closed_under_parents(events: Manifest) -> None:
    gold = expected_labels(examples(["e1"], [], ["e3"], ["e4", "e2"]), events)
    assert gold.astype(int).tolist() == [[1, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 1, 0], [1, 0, 1, 1, 1]]


def test_metrics_computed_by_hand(events: Manifest) -> None:
    rows = examples(["e1"], ["e1"], ["e4"], [], ["e3"])
    predictions = [*answers(events, [1], [2], [4, 2], []), "the text is empty"]
    # expected 人生 2, 结婚 2, 灾害 2, 地震 1; predicted 人生 3, 结婚 1, 离婚 2, 灾害 1, 地震 1; right 2, 1, 0, 1, 1
    metrics = KIND.score(rows, predictions, events)
    assert metrics["micro_precision"] == pytest.approx(100 * 5 / 8)
    assert metrics["micro_recall"] == pytest.approx(100 * 5 / 7, abs=1e-3)
    assert metrics["micro_f1"] == pytest.approx(100 * 10 / 15, abs=1e-3)
    assert metrics["level_1_f1"] == pytest.approx(100 * 6 / 8)
    assert metrics["level_2_precision"] == pytest.approx(100 * 2 / 4)
    assert metrics["level_2_recall"] == pytest.approx(100 * 2 / 3, abs=1e-3)
    assert metrics["macro_f1"] == pytest.approx(100 * (4 / 5 + 2 / 3 + 0 + 2 / 3 + 1) / 5, abs=1e-3)
    assert metrics["macro_precision"] == pytest.approx(100 * (2 / 3 + 1 + 0 + 1 + 1) / 5, abs=1e-3)
    assert metrics["macro_recall"] == pytest.approx(100 * (1 + 1 / 2 + 0 + 1 / 2 + 1) / 5, abs=1e-3)
    assert metrics["level_1_macro_f1"] == pytest.approx(100 * (4 / 5 + 2 / 3) / 2, abs=1e-3)
    assert metrics["level_2_macro_f1"] == pytest.approx(100 * (2 / 3 + 0 + 1) / 3, abs=1e-3)
    assert (metrics["level_1_accuracy"], metrics["level_2_accuracy"]) == (60, 60)
    assert metrics["exact_match"] == pytest.approx(40)
    assert [KIND.wrong(e, a, events) for e, a in zip(rows, predictions, strict=True)] == [
        None,
        {
            "text": "第1",
            "expected": ["人生", "人生##结婚"],
            "predicted": ["人生", "人生##离婚"],
            "missed": ["人生##结婚"],
            "invented": ["人生##离婚"],
        },
        {
            "text": "第2",
            "expected": ["灾害", "灾害##地震"],
            "predicted": ["人生", "人生##离婚", "灾害", "灾害##地震"],
            "missed": [],
            "invented": ["人生", "人生##离婚"],
        },
        None,
        {"text": "第4", "error": "the text is empty"},
    ]


def test_labels_that_never_occur_do_not_count_in_macro_f1(events: Manifest) -> None:
    rows = examples(["e1"], ["e1"])
    assert KIND.score(rows, answers(events, [1], [1]), events)["macro_f1"] == 100
    assert KIND.score([], [], events)["macro_f1"] == 0


def test_class_table(events: Manifest, tmp_path: Path) -> None:
    rows = KIND.class_report(examples(["e1"], ["e1"], ["e4"]), answers(events, [1], [2], [4]), events)
    write_classes(tmp_path / "classes.tsv", rows, examples=3)
    table = [line.split("\t") for line in (tmp_path / "classes.tsv").read_text(encoding="utf-8").splitlines()]
    assert table[0] == ["label", "level", "expected", "share", "predicted", "right", "precision", "recall", "f1"]
    assert table[1] == ["人生", "1", "2", "66.7", "2", "2", "100.0", "100.0", "100.0"]
    assert table[2] == ["人生##结婚", "2", "2", "66.7", "1", "1", "100.0", "50.0", "66.667"]
    assert table[3] == ["人生##离婚", "2", "0", "0.0", "1", "0", "0.0", "", "0.0"]
    assert [row[0] for row in table[1:]] == list(NAMES)
    unseen = ClassRow(label="x", expected=0, predicted=0, correct=0)
    assert (unseen.precision, unseen.recall, unseen.f1) == (None, None, None)


class Canned:
    """A pipeline that gives the same answers to any items."""

    def __init__(self, answers: list[Answer | str]) -> None:
        self.answers = answers

    def predict(self, items: Sequence[Any]) -> list[Answer | str]:
        assert len(items) == len(self.answers)
        return self.answers


def test_learnt_options_are_valid_in_a_manifest(events: Manifest) -> None:
    generator = np.random.default_rng(0)
    rows = examples(*([f"e{n}"] for n in generator.integers(0, 5, 80)), ["e1"])
    scores = np.where(expected_labels(rows[:80], events), 0.3, 0.05).astype(np.float32)
    predictions: list[Answer | str] = [*(Answer({"labels": []}, {"SCORES": row}) for row in scores), "not UTF-8"]
    learnt = KIND.learn(events, [], rows, lambda: Canned(predictions))  # type: ignore[arg-type,return-value]
    assert learnt["threshold_choice"]["way"] == "task"
    assert learnt["threshold_choice"]["rows"] == 80
    assert learnt["threshold_choice"]["held_out_micro_f1"]["task"] == 100
    assert learnt["threshold_choice"]["held_out_micro_f1"]["default"] == 0
    assert set(learnt["thresholds"]) == set(NAMES)
    assert all(0.05 < value <= 0.3 for value in learnt["thresholds"].values())
    get_kind(events.kind).check(replace(events, options=learnt))
    with_thresholds = replace(events, options={"thresholds": {"人生": 0.4}})
    assert KIND.learn(with_thresholds, [], rows, pytest.fail) == {}
    assert KIND.learn(events, rows, [], pytest.fail) == {}


def write_events(path: Path, characters: list[str], count: int, seed: int) -> None:
    """A sign of each child label among other characters; a third of the texts have two."""
    generator = np.random.default_rng(seed)
    children, filler = ("north##cold", "south##warm", "south##wet"), characters[12:]
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as out:
        for _ in range(count):
            chosen = generator.choice(3, int(generator.integers(1, 3)), replace=False)
            signs = [character for label in chosen for character in characters[4 * label : 4 * label + 3]]
            text = generator.permutation([*generator.choice(filler, 6), *signs])
            out.write("".join(text) + "\t" + ",".join(children[label] for label in chosen) + "\n")


def test_a_build_learns_thresholds_and_publishes_them(
    tmp_path: Path, characters: list[str], base_model: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "tasks.toml").write_text(TASK, encoding="utf-8")
    write_events(tmp_path / "data" / "events" / "train.txt", characters, 1000, 0)
    write_events(tmp_path / "data" / "events" / "dev.txt", characters, 60, 1)
    place = Place(tmp_path / "tasks.toml", tmp_path / "data", base_model, tmp_path)
    assert place.build(task="events") == 0
    assert "micro F1 on halves that they were not fitted on: default " in capsys.readouterr().out
    path = place.output / "events_postprocess" / "1" / "manifest.json"
    manifest = Manifest.load(path)
    choice = manifest.options["threshold_choice"]
    assert choice["rows"] == 100  # a tenth of the training rows
    assert tuple(choice["held_out_micro_f1"]) == SCHEMES
    assert set(manifest.options["thresholds"]) in (set(), {label.name for label in manifest.labels})
    assert manifest.main_metric == "micro_f1"
    (evaluation,) = manifest.variants[0].evaluations
    evaluated = place.stage("evaluate", "events")
    figures = place.figures("evaluate", "events")
    assert figures["metrics"] == evaluation.metrics
    assert figures["classes_file"] == str(evaluated / "classes.tsv")
    table = (evaluated / "classes.tsv").read_text(encoding="utf-8").splitlines()
    assert [row.split("\t")[0] for row in table[1:]] == [label.name for label in manifest.labels]
    assert "dims: 5" in (place.output / "events" / "config.pbtxt").read_text(encoding="utf-8")


def entity_rows(name: str) -> list[Example]:
    """Clauses of real sentences, with the kinds of entities that begin in them as labels of two levels."""
    parents = {"PER": "person", "LOC": "place", "ORG": "place"}
    rows = []
    for row in bio_columns(ASSETS / "samples" / "msra_ner" / name, {}):
        for clause in re.finditer("[^，。；：！？、]{3,}", row.texts[0]):
            kinds = {kind for start, _, kind in row.target if clause.start() <= start < clause.end()}
            rows.append(Example((clause.group(),), [f"{parents[kind]}##{kind}" for kind in kinds], row.line))
    return rows


@pytest.mark.slow
def test_training_beats_the_best_fixed_answer(tmp_path: Path) -> None:
    labels = '["person", "person##PER", "place", "place##LOC", "place##ORG"]'
    tasks = re.sub(r"labels = .*", f"labels = {labels}", TASK).replace("max_length = 32", "max_length = 64")
    (tmp_path / "tasks.toml").write_text(tasks, encoding="utf-8")
    entries = (ASSETS / "encoder" / "vocab.txt").read_text(encoding="utf-8").splitlines()[:2000]
    (tmp_path / "vocab.txt").write_text("\n".join(entries) + "\n", encoding="utf-8")
    tiny = {**CONFIG, "vocab_size": len(entries)}
    weights = random_hugging_face(seed=1, std=0.05, config=tiny)
    base = read_checkpoint(write_hugging_face(tmp_path / "base", weights, tiny, tmp_path / "vocab.txt"))
    tokenizer = base.tokenizer
    manifest = draft_manifest(load_tasks(tmp_path / "tasks.toml")["events"], tokenizer)
    train, dev = entity_rows("train.txt"), entity_rows("dev.txt")
    config = TrainConfig(epochs=6, batch_size=16, learning_rate=3e-3, evals_per_epoch=1, patience=9)
    job = Job(
        manifest=manifest, config=config, base=base, tokenizer=tokenizer, train=train, held_out=dev, folder=tmp_path
    )
    result = Trainer(job).run()
    gold, tree = expected_labels(dev, manifest), tree_of(manifest)
    fixed = []
    for choice in itertools.product([False, True], repeat=len(manifest.labels)):
        predicted = tree.close(np.tile(np.array(choice), (len(dev), 1)))
        fixed.append(micro_f1(np.array([np.count_nonzero(part) for part in (predicted & gold, predicted, gold)])))
    assert result.metrics["micro_f1"] >= max(fixed) + 7
