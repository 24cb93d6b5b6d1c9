"""Vectors reduced by PCA: the projection by hand, fitted on training text, stored, served, and each size measured."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ernie_builders.checkpoints.checkpoint import read_checkpoint
from ernie_builders.config.tasks import ASSETS
from ernie_builders.kinds import get_builder_kind
from ernie_builders.kinds._projection import fit_projection
from ernie_builders.readers import Example
from ernie_builders.readers.bio_columns import read as bio_columns
from ernie_runtime.kinds import Answer
from ernie_runtime.kinds.embedding import unit
from ernie_runtime.steps.pipeline import Pipeline

from ..command_line import OneLine
from ..places import Place
from ..tiny import HIDDEN, manifest_with

SIZE = 8
TASKS = """
[tasks.whole]
kind = "embedding"
options = { dimension = 32 }
examples = ["的一不是"]
limits = { max_length = 48, doc_stride = 32 }
data = { format = "pair_texts", folder = "pairs", dev = "dev.tsv", fields = { pairs = "pair_scores" } }
[tasks.short]
kind = "embedding"
options = { dimension = 8, reduce = "pca" }
examples = ["的一不是"]
limits = { max_length = 48, doc_stride = 32 }
data = { format = "pair_texts", folder = "pairs", TRAIN dev = "dev.tsv", fields = { pairs = "pair_scores" } }
"""


def test_the_projection_is_the_truncated_svd() -> None:
    vectors = np.random.default_rng(0).normal(size=(50, 6)) * [9, 1, 4, 0.1, 2, 3] + 1
    projection = fit_projection(vectors, 4)
    _, _, directions = np.linalg.svd(vectors, full_matrices=False)
    assert np.abs(np.abs((projection * directions[:4].T).sum(axis=0)) - 1).max() < 1e-6  # the same up to signs
    assert np.allclose(projection.T @ projection, np.eye(4), atol=1e-6)
    assert all(column[np.abs(column).argmax()] > 0 for column in projection.T)
    assert np.allclose(projection[:, :2], fit_projection(vectors, 2))  # a shorter reduction is the beginning of it


def test_each_size_is_measured() -> None:
    options = {"dimension": 40, "reduce": "pca"}
    vectors = np.random.default_rng(1).normal(size=(12, 40)).astype(np.float32)
    examples = [Example(("x",), i // 2, i // 2) for i in range(12)]
    kind = get_builder_kind("embedding")

    def score(vectors: np.ndarray, **more: object) -> dict[str, float]:
        answers: list[Answer | str] = [Answer({}, {"EMBEDDING": vector}) for vector in vectors]
        manifest = manifest_with(0, "embedding", options={**options, "dimension": vectors.shape[1], **more})
        return kind.score(examples, answers, manifest)

    metrics = score(vectors)
    assert set(metrics) == {"spearman", "pearson", "spearman_32"}
    assert metrics["spearman_32"] == score(vectors[:, :32])["spearman"] != metrics["spearman"]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, base_model: Path) -> Place:
    """Pairs of real sentences, and the tasks."""
    root = tmp_path_factory.mktemp("reduced")
    (root / "tasks.toml").write_text(TASKS.replace("TRAIN", 'train = "train.tsv",'), encoding="utf-8")
    (root / "data" / "pairs").mkdir(parents=True)
    for split in ("train", "dev"):
        texts = [e.texts[0] for e in bio_columns(ASSETS / "samples/msra_ner" / f"{split}.txt", {})][:120]
        rows = "".join(f"{a}\t{b}\t{i % 6}\n" for i, (a, b) in enumerate(zip(texts[::2], texts[1::2], strict=False)))
        (root / "data" / "pairs" / f"{split}.tsv").write_text(rows, encoding="utf-8")
    return Place(root / "tasks.toml", root / "data", base_model, root)


def test_a_reduced_task_from_text_to_vectors(place: Place) -> None:
    for task in ("whole", "short"):
        assert place.build("--checkpoint", f"{task}={place.base_model}", task=task) == 0
    whole, short = (Pipeline.load(place.output, task) for task in ("whole", "short"))
    stored = read_checkpoint(place.stage("fine-tune", "short") / "best").weights["projection.weight"]
    assert stored.shape == (HIDDEN, SIZE)

    def vectors(pipeline: Pipeline, items: list[tuple[str, ...]]) -> np.ndarray:
        return np.array([a.numeric["EMBEDDING"] for a in pipeline.predict(items) if not isinstance(a, str)], np.float64)

    rows = (place.data_dir / "pairs" / "train.tsv").read_text(encoding="utf-8").splitlines()
    train = list(dict.fromkeys((text,) for row in rows for text in row.split("\t")[:2]))
    full = vectors(whole, train)
    assert np.allclose(stored, fit_projection(full, SIZE), atol=1e-3)
    assert np.allclose(vectors(short, train), unit(full @ stored), atol=1e-5)
    # 8 numbers are fewer than 32.
    assert place.figures("evaluate", "short")["metrics"].keys() == {"spearman", "pearson"}


def test_what_cannot_be_reduced(place: Place, tmp_path: Path, one_line: OneLine) -> None:
    def refused(tasks: str, why: str) -> None:
        path = tmp_path / "tasks.toml"
        path.write_text(tasks, encoding="utf-8")
        here = Place(path, place.data_dir, place.base_model, tmp_path)
        one_line(here.build("--checkpoint", f"short={place.base_model}", "--until", "export", task="short"), why)

    refused(TASKS.replace("TRAIN", ""), "PCA is fitted on the texts of data.train, at least 32; there are 0")
    with_train = TASKS.replace("TRAIN", 'train = "train.tsv",')
    refused(with_train.replace("dimension = 8", "dimension = 32"), "dimension 32 must be below 32 to be reduced")
