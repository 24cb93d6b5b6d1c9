"""Similarity from data to repository, and embeddings from the same weights."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import ASSETS
from ernie_builders.readers.bio_columns import read as bio_columns
from ernie_runtime.steps.pipeline import Pipeline

from ..command_line import OneLine
from ..places import Place
from ..tiny import HIDDEN


def halves(split: str) -> list[tuple[str, str, int]]:
    """Real sentences cut in two: 5 for the halves of one sentence, 0 for those of two."""
    texts = [e.texts[0] for e in bio_columns(ASSETS / "samples/msra_ner" / f"{split}.txt", {}) if len(e.texts[0]) >= 16]
    generator, rows = random.Random(0), []
    for i, text in enumerate(texts):
        other_text = texts[(i + 1 + generator.randrange(len(texts) - 1)) % len(texts)]
        start = text[: len(text) // 2]
        rows += [(start, text[len(text) // 2 :], 5), (start, other_text[len(other_text) // 2 :], 0)]
    return rows


TASKS = """
[tasks.alike]
kind = "similarity"
title = "Do two halves belong to one sentence?"
options = { dimension = 32, max_score = 5 }
examples = [["的一不是", "有人了在用"]]
[tasks.alike.limits]
max_length = 48
doc_stride = 32
[tasks.alike.data]
format = "pair_scores"
folder = "alike"
train = "train.tsv"
dev = "dev.tsv"
[tasks.alike.transfer.same]
format = "labelled_tsv"
folder = "alike"
dev = "same.tsv"
fields = { text = "text_a", text_pair = "text_b", label = "label" }
[tasks.alike.train]
epochs = 2
batch_size = 16
learning_rate = 5e-3
dropout = 0.0
evals_per_epoch = 1

[tasks.vector]
kind = "embedding"
options = { dimension = 32 }
examples = ["的一不是"]
[tasks.vector.limits]
max_length = 48
doc_stride = 32
[tasks.vector.data]
format = "pair_texts"
folder = "alike"
dev = "dev.tsv"
fields = { pairs = "pair_scores" }
[tasks.vector.transfer.same]
format = "pair_texts"
folder = "alike"
dev = "same.tsv"
fields = { pairs = "labelled_tsv", text = "text_a", text_pair = "text_b", label = "label" }
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, base_model: Path) -> Place:
    """The task `alike`, trained and published."""
    root = tmp_path_factory.mktemp("alike")
    (root / "tasks.toml").write_text(TASKS, encoding="utf-8")
    folder = root / "data" / "alike"
    folder.mkdir(parents=True)
    for split in ("train", "dev"):
        rows = "".join(f"{a}\t{b}\t{score}\n" for a, b, score in halves(split))
        (folder / f"{split}.tsv").write_text(rows, encoding="utf-8")
    rows = "".join(f"{a}\t{b}\t{score // 5}\n" for a, b, score in halves("dev"))
    (folder / "same.tsv").write_text(f"text_a\ttext_b\tlabel\n{rows}", encoding="utf-8")
    place = Place(root / "tasks.toml", root / "data", base_model, root)
    assert place.build(task="alike") == 0
    return place


@pytest.fixture(scope="module")
def vectors(trained: Place) -> Place:
    """The task `vector`, published from the same weights."""
    best = trained.stage("fine-tune", "alike") / "best"
    assert trained.build("--checkpoint", f"vector={best}", task="vector") == 0
    return trained


@pytest.mark.slow
def test_training_beats_the_untrained_encoder(trained: Place, tmp_path: Path) -> None:
    """The base model serves as a fine-tuned checkpoint: pooling needs no weights of its own."""
    untrained = replace(trained, root=tmp_path)
    assert untrained.build("--checkpoint", f"alike={trained.base_model}", "--until", "evaluate", task="alike") == 0
    before, after = untrained.figures("evaluate", "alike"), trained.figures("evaluate", "alike")
    assert before["rows"] == after["rows"] == len(halves("dev"))
    assert after["metrics"]["spearman"] > before["metrics"]["spearman"] + 10
    same = after["transfer"]["same"]
    assert same["rows"] == after["rows"]
    assert set(same["metrics"]) == {"spearman", "pearson", "accuracy_best_threshold", "threshold"}
    assert same["metrics"]["spearman"] == after["metrics"]["spearman"]
    assert same["metrics"]["accuracy_best_threshold"] > 70


def test_published_similarity_is_symmetric(trained: Place) -> None:
    pipeline = Pipeline.load(trained.output, "alike")
    texts = [a for a, _, _ in halves("dev")][:20:2]
    pairs = [(a, b) for a in texts for b in texts]
    answers = dict(zip(pairs, pipeline.predict(pairs), strict=True))
    for (a, b), answer in answers.items():
        reverse = answers[b, a]
        assert not isinstance(answer, str) and not isinstance(reverse, str)
        assert -1 <= answer.result["score"] <= 1
        assert answer.result["score"] == pytest.approx(reverse.result["score"], abs=1e-5)
        assert a != b or answer.result["score"] == 1


def test_published_vectors_are_those_of_the_similarity_task(vectors: Place) -> None:
    alike, vector = Pipeline.load(vectors.output, "alike"), Pipeline.load(vectors.output, "vector")
    assert vector.manifest.made_by["trained"] is False
    pairs = [(a, b) for a, b, _ in halves("dev")[:30]]
    scores, embeddings = alike.predict(pairs), vector.predict([(text,) for pair in pairs for text in pair])
    rows = np.array([a.numeric["EMBEDDING"] for a in embeddings if not isinstance(a, str)])
    assert rows.shape == (60, 32)
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() <= 1e-6
    for answer, a, b in zip(scores, rows[::2], rows[1::2], strict=True):
        assert not isinstance(answer, str)
        assert answer.result["score"] == pytest.approx(float(a @ b), abs=1e-5)


def test_vectors_are_measured_on_pairs(vectors: Place) -> None:
    alike, vector = (vectors.figures("evaluate", task) for task in ("alike", "vector"))
    assert vector["rows"] == 2 * alike["rows"]
    for vector_metrics, alike_metrics in (
        (vector["metrics"], alike["metrics"]),
        *((vector["transfer"]["same"]["metrics"], alike["transfer"]["same"]["metrics"]),),
    ):
        assert vector_metrics.keys() == alike_metrics.keys()
        assert all(vector_metrics[name] == pytest.approx(alike_metrics[name], abs=0.2) for name in vector_metrics)
    (variant,) = Pipeline.load(vectors.output, "vector").manifest.variants
    assert [e.split for e in variant.evaluations] == ["dev", "same"]


def test_vectors_without_pairs_are_published_unmeasured(trained: Place, tmp_path: Path) -> None:
    tasks = TASKS.replace('dev = "dev.tsv"\nfields = { pairs = "pair_scores" }', "").partition(
        "[tasks.vector.transfer"
    )[0]
    (tmp_path / "tasks.toml").write_text(tasks, encoding="utf-8")
    place = replace(trained, tasks_file=tmp_path / "tasks.toml", root=tmp_path)
    best = trained.stage("fine-tune", "alike") / "best"
    assert place.build("--checkpoint", f"vector={best}", task="vector") == 0
    assert place.figures("evaluate", "vector")["rows"] == 0
    assert Pipeline.load(place.output, "vector").manifest.variants[0].evaluations == ()


def test_another_dimension_takes_a_projection(
    trained: Place, tmp_path: Path, one_line: OneLine, capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(TASKS.replace("dimension = 32", "dimension = 12"), encoding="utf-8")
    place = replace(trained, tasks_file=tasks, root=tmp_path)
    best = trained.stage("fine-tune", "alike") / "best"
    one_line(
        place.build("--checkpoint", f"vector={best}", "--until", "export", task="vector"),
        "has no projection.weight, and its vectors have 32 numbers: set options.dimension = 32, not 12",
    )
    assert place.build("--set", "epochs=0.2", "--until", "evaluate", task="alike") == 0
    checkpoint = place.stage("fine-tune", "alike") / "best"
    assert read_checkpoint(checkpoint).weights["projection.weight"].shape == (HIDDEN, 12)
    assert place.build("--checkpoint", f"vector={checkpoint}", task="vector") == 0
    (answer,) = Pipeline.load(place.output, "vector").predict([("的一不是",)])
    assert not isinstance(answer, str) and len(answer.numeric["EMBEDDING"]) == 12
    capsys.readouterr()
    tasks.write_text(TASKS.replace("dimension = 32", "dimension = 13"), encoding="utf-8")
    one_line(
        place.build("--checkpoint", f"vector={checkpoint}", "--until", "export", task="vector"),
        "projection.weight is [32, 12], the task needs [32, 13]",
    )
