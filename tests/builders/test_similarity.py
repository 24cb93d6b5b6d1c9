"""Similarity and embeddings, the building side: figures and loss by hand, pooling, and a build from end to end."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from builders.config import ASSETS
from builders.errors import ConfigError, DataError
from builders.framework import import_paddle
from builders.kinds import get_builder_kind
from builders.kinds.similarity import best_threshold, pair_metrics, ranks, spearman
from builders.models import PaddleEngine, build_model
from builders.readers import Example
from builders.readers.bio_columns import read as bio_columns
from builders.readers.labelled_tsv import read as labelled_tsv
from builders.readers.pair_scores import read as pair_scores
from builders.readers.pair_texts import read as pair_texts
from builders.stages import export
from builders.train import training_rows
from builders.weights import read_checkpoint
from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.kinds import Answer, get_kind
from ernie_runtime.manifest import Limits, Manifest
from ernie_runtime.pipeline import Pipeline
from ernie_runtime.tokenization import ErnieTokenizer

from .conftest import HIDDEN, Place, manifest_with

KIND = get_builder_kind("similarity")
POOLINGS = ("cls", "mean", "first_last_mean")


def manifest_of(kind: str = "similarity", dimension: int = HIDDEN, **options: Any) -> Manifest:
    return manifest_with(0, kind, options={"dimension": dimension, **options}, main_metric="spearman")


def test_ranks() -> None:
    assert ranks([10, 30, 20]).tolist() == [0, 2, 1]
    assert ranks([5, 1, 5, 5, 0]).tolist() == [3, 1, 3, 3, 0]
    assert ranks([7, 7]).tolist() == [0.5, 0.5]


@pytest.mark.parametrize(
    ("found", "gold", "expected"),
    [
        ([1, 2, 3], [10, 20, 30], 1),
        ([1, 2, 30], [0.1, 0.2, 0.3], 1),  # only the order counts
        ([3, 2, 1], [1, 2, 3], -1),
        ([1, 2, 3, 4, 5], [2, 1, 4, 3, 5], 0.8),  # 1 - 6 * 4 / (5 * 24)
        # ranks 0 1 2 3 and 0 1.5 1.5 3: 4.5 / sqrt(5 * 4.5)
        ([1, 2, 3, 4], [0, 2, 2, 4], 0.9486833),
        # ranks 0.5 0.5 2.5 2.5 and 0.5 2.5 0.5 2.5: 0 / 4
        ([1, 1, 2, 2], [0, 1, 0, 1], 0),
        ([1, 1, 1], [0, 1, 2], 0),
        ([], [], 0),
    ],
)
def test_spearman(found: list[float], gold: list[float], expected: float) -> None:
    assert spearman(found, gold) == pytest.approx(expected, abs=1e-7)
    assert spearman(gold, found) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("found", "same", "accuracy", "threshold"),
    [
        ([0.9, 0.1, 0.8, 0.3], [True, False, True, False], 1, 0.55),
        ([0.9, 0.1, 0.8, 0.3], [False, False, True, True], 0.75, 0.2),
        ([0.4, 0.2], [True, True], 1, -1),
        ([0.4, 0.2], [False, False], 1, 2),
        ([0.5, 0.5, 0.5], [True, False, False], 2 / 3, 2),  # equal scores cannot be told apart
    ],
)
def test_best_threshold(found: list[float], same: list[bool], accuracy: float, threshold: float) -> None:
    assert best_threshold(found, same) == pytest.approx((accuracy, threshold))


def test_best_threshold_is_the_best_of_all() -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        found = generator.integers(0, 6, 12) / 5
        same = generator.random(12) < found
        accuracy, threshold = best_threshold(found.tolist(), same.tolist())
        assert accuracy == pytest.approx(np.mean((found >= threshold) == same))
        assert accuracy >= max(np.mean((found >= t) == same) for t in np.linspace(-0.5, 1.5, 41)) - 1e-9


def test_metrics() -> None:
    assert pair_metrics([0.9, 0.5, 0.1], [5, 3, 0]) == {"spearman": 100}
    binary = pair_metrics([0.9, 0.5, 0.1], [1, 1, 0])
    assert binary == {"spearman": 86.603, "accuracy_best_threshold": 100, "threshold": 0.3}
    # Without an answer a pair that means the same counts as unlike, and the other way round.
    assert pair_metrics([0.9, None, 0.1], [1, 1, 0]) == pair_metrics([0.9, -1.0, 0.1], [1, 1, 0])
    assert pair_metrics([0.9, 0.5, None], [1, 1, 0]) == pair_metrics([0.9, 0.5, 1.0], [1, 1, 0])


def test_scores_of_answers() -> None:
    examples = [Example(("a", "b"), target, 1) for target in (5.0, 3.0, "0")]
    answers: list[Answer | str] = [Answer({"score": s}, {"SCORE": s}) for s in (0.9, 0.4, -0.2)]
    assert KIND.score(examples, answers, manifest_of(max_score=5)) == {"spearman": 100}
    embedding = get_builder_kind("embedding")
    pairs = [Example((text,), target, 1) for target in (5.0, 3.0, "0") for text in ("a", "b")]
    vectors = [(2, 0), (9, 1), (0, 1), (1, 1), (1, 0), (0, 1)]
    found: list[Answer | str] = [Answer({}, {"EMBEDDING": np.array(v, np.float32)}) for v in vectors]
    manifest = manifest_of("embedding", 2)
    assert embedding.score(pairs, found, manifest) == {"spearman": 100}
    assert embedding.score(pairs, ["the text is empty", *found[1:]], manifest) == {"spearman": -50}
    assert embedding.wrong(pairs[0], found[0], manifest) is None
    assert embedding.wrong(pairs[0], "too long", manifest) == {"text": "a", "error": "too long"}


def test_wrong_is_what_is_far_off() -> None:
    manifest, example = manifest_of(max_score=5), Example(("a", "b"), 4.0, 1)
    for score in (0.3, 0.8, 1.0):
        assert KIND.wrong(example, Answer({"score": score}, {}), manifest) is None
    assert KIND.wrong(example, Answer({"score": 0.29}, {}), manifest) == {
        "text": ["a", "b"],
        "expected": 0.8,
        "score": 0.29,
    }
    assert KIND.wrong(example, "empty", manifest) == {"text": ["a", "b"], "expected": 0.8, "error": "empty"}


@pytest.mark.parametrize(
    ("target", "says"),
    [
        ("5", None),
        (0, None),
        (5.1, "the score 5.1 is outside 0 to 5 (options.max_score)"),
        (-1, "the score -1 is outside 0 to 5"),
        ("nan", "the score nan is outside 0 to 5"),
        ("same", "the score 'same' is not a number"),
        (None, "the score None is not a number"),
        ([1], "the score [1] is not a number"),
    ],
)
def test_targets_that_are_no_scores(target: Any, says: str | None) -> None:
    found = KIND.check(Example(("a", "b"), target, 1), manifest_of(max_score=5))
    assert (found is None) if says is None else (found is not None and says in found)
    if "outside" not in (says or ""):
        alone = get_builder_kind("embedding").check(Example(("a",), target, 1), manifest_of("embedding"))
        assert (alone is None) is (says is None)


def loss_of(pairs: list[tuple[float, float]]) -> float:
    """The loss of pairs given as (cosine, score); the vectors of a pair follow each other and differ in length."""
    paddle = import_paddle()
    vectors = [row for cosine, _ in pairs for row in ((3.0, 0.0), (cosine, (1 - cosine**2) ** 0.5))]
    targets = {"score": paddle.to_tensor(np.array([score for _, score in pairs], np.float32))}
    return float(KIND.loss({"embedding": paddle.to_tensor(np.array(vectors, np.float32))}, targets))


def test_loss() -> None:
    assert loss_of([(0.5, 0.5), (1, 1), (0, 0)]) == pytest.approx(0, abs=1e-9)
    assert loss_of([(0.5, 1)]) == pytest.approx(0.25, abs=1e-6)
    assert loss_of([(-1, 1), (0.8, 0.2)]) == pytest.approx((4 + 0.36) / 2, abs=1e-5)


def test_rows_hold_the_first_window_of_each_text(vocabulary: Path, characters: list[str]) -> None:
    tokenizer, manifest = ErnieTokenizer.from_vocab(vocabulary), replace(manifest_of(max_score=5), limits=Limits(8, 4))
    long, short = "".join(characters[:15]), "".join(characters[20:23])
    examples = [Example(pair, 4.0, 1) for pair in ((long, short), (short, long), (short, short), ("", short))]
    rows = training_rows(manifest, tokenizer, examples)
    assert [float(row.targets["score"]) for row in rows] == pytest.approx([0.8] * 3)  # the empty text cannot be served
    for row, example in zip(rows, examples, strict=False):
        expected = [tokenizer([text])[0].ids[:6].tolist() for text in example.texts]
        assert [window.input_ids[1:-1].tolist() for window in row.windows] == expected
        assert not any(window.token_type_ids.any() for window in row.windows)
    with pytest.raises(ConfigError, match=r"train\.windows_per_text must be 0"):
        training_rows(manifest, tokenizer, examples, windows_per_text=1)


def random_ids(generator: np.random.Generator, lengths: list[int], width: int) -> np.ndarray:
    ids = np.zeros((len(lengths), width), np.int64)
    for row, length in zip(ids, lengths, strict=True):
        row[:length] = generator.integers(5, 400, length)
    return ids


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling(base_model: Path, pooling: str) -> None:
    """Against the hidden states of each row alone: padding never counts."""
    paddle = import_paddle()
    model = build_model(KIND, read_checkpoint(base_model), manifest_of(pooling=pooling), seed=3)
    model.eval()
    lengths = [3, 17, 9]
    ids = random_ids(np.random.default_rng(0), lengths, 20)
    found = PaddleEngine(model, KIND)({"input_ids": ids, "token_type_ids": np.zeros_like(ids)})["embedding"]
    assert found.shape == (3, HIDDEN)
    for row, length, vector in zip(ids, lengths, found, strict=True):
        with paddle.no_grad():
            last, _, states = model.ernie(paddle.to_tensor(row[None, :length]), output_hidden_states=True)
        assert len(states) == 3  # the embeddings and two layers
        final, first = last.numpy()[0], states[1].numpy()[0]
        expected = {"cls": final[0], "mean": final.mean(0), "first_last_mean": (final.mean(0) + first.mean(0)) / 2}
        assert np.abs(vector - expected[pooling]).max() <= 1e-5
        others = [expected[name] for name in POOLINGS if name != pooling]
        assert all(np.abs(vector - other).max() > 1e-3 for other in others)


@pytest.mark.parametrize(("pooling", "dimension"), [("cls", HIDDEN), ("mean", HIDDEN), ("first_last_mean", 20)])
def test_onnx_says_what_paddle_says(base_model: Path, tmp_path: Path, pooling: str, dimension: int) -> None:
    manifest = manifest_of(dimension=dimension, pooling=pooling)
    model = build_model(KIND, read_checkpoint(base_model), manifest, seed=3)
    model.eval()
    assert (model.projection is None) is (dimension == HIDDEN)
    outputs = get_kind("similarity").encoder_outputs(manifest)
    export.to_onnx(export.to_static(model, tmp_path / "paddle"), tmp_path / "model.onnx", outputs)
    engine, generator = OrtEngine(tmp_path / "model.onnx"), np.random.default_rng(1)
    for lengths, width in (([1], 1), ([64], 64), ([4, 30, 2, 11], 32), ([7, 7], 7)):
        ids = random_ids(generator, lengths, width)
        tensors = {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}
        ours, theirs = engine(tensors)["embedding"], PaddleEngine(model, KIND)(tensors)["embedding"]
        assert ours.shape == (len(lengths), dimension)
        assert np.abs(ours - theirs).max() <= 1e-5
        for row, length, vector in zip(ids, lengths, ours, strict=True):
            alone = engine({"input_ids": row[None, :length], "token_type_ids": np.zeros((1, length), np.int64)})
            assert np.abs(alone["embedding"][0] - vector).max() <= 1e-5


def halves(split: str) -> list[tuple[str, str, int]]:
    """Real sentences cut in two: 5 for the halves of one sentence, 0 for those of two."""
    texts = [e.texts[0] for e in bio_columns(ASSETS / "samples/msra_ner" / f"{split}.txt", {}) if len(e.texts[0]) >= 16]
    generator, rows = random.Random(0), []
    for i, text in enumerate(texts):
        other = texts[(i + 1 + generator.randrange(len(texts) - 1)) % len(texts)]
        start = text[: len(text) // 2]
        rows += [(start, text[len(text) // 2 :], 5), (start, other[len(other) // 2 :], 0)]
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
def made(tmp_path_factory: pytest.TempPathFactory, base_model: Path) -> Place:
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
def vectors(made: Place) -> Place:
    """The task `vector`, published from the same weights."""
    best = made.stage("fine-tune", "alike") / "best"
    assert made.build("--checkpoint", f"vector={best}", task="vector") == 0
    return made


def evaluation(place: Place, task: str) -> dict[str, Any]:
    figures: dict[str, Any] = json.loads((place.stage("evaluate", task) / "done.json").read_text(encoding="utf-8"))
    return figures["figures"]


def test_training_beats_the_untrained_encoder(made: Place, tmp_path: Path) -> None:
    """The base model is taken as a fine-tuned checkpoint: a pooling needs no weights of its own."""
    untrained = replace(made, root=tmp_path)
    assert untrained.build("--checkpoint", f"alike={made.base_model}", "--until", "evaluate", task="alike") == 0
    before, after = evaluation(untrained, "alike"), evaluation(made, "alike")
    assert before["rows"] == after["rows"] == len(halves("dev"))
    assert after["metrics"]["spearman"] > before["metrics"]["spearman"] + 10
    same = after["transfer"]["same"]
    assert same["rows"] == after["rows"]
    assert set(same["metrics"]) == {"spearman", "accuracy_best_threshold", "threshold"}
    assert same["metrics"]["spearman"] == after["metrics"]["spearman"]
    assert same["metrics"]["accuracy_best_threshold"] > 70


def test_published_similarity(made: Place) -> None:
    pipeline = Pipeline.load(made.output, "alike")
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
    scores, found = alike.predict(pairs), vector.predict([(text,) for pair in pairs for text in pair])
    rows = np.array([a.numeric["EMBEDDING"] for a in found if not isinstance(a, str)])
    assert rows.shape == (60, 32)
    assert np.abs(np.linalg.norm(rows, axis=1) - 1).max() <= 1e-6
    for answer, a, b in zip(scores, rows[::2], rows[1::2], strict=True):
        assert not isinstance(answer, str)
        assert answer.result["score"] == pytest.approx(float(a @ b), abs=1e-5)


def test_vectors_are_measured_on_pairs(vectors: Place) -> None:
    alike, vector = evaluation(vectors, "alike"), evaluation(vectors, "vector")
    assert vector["rows"] == 2 * alike["rows"]
    for one, other in (
        (vector["metrics"], alike["metrics"]),
        *((vector["transfer"]["same"]["metrics"], alike["transfer"]["same"]["metrics"]),),
    ):
        assert one.keys() == other.keys()
        assert all(one[name] == pytest.approx(other[name], abs=0.2) for name in one)
    (variant,) = Pipeline.load(vectors.output, "vector").manifest.variants
    assert [e.split for e in variant.evaluations] == ["dev", "same"]


def test_vectors_without_pairs_are_published_unmeasured(made: Place, tmp_path: Path) -> None:
    tasks = TASKS.replace('dev = "dev.tsv"\nfields = { pairs = "pair_scores" }', "").partition(
        "[tasks.vector.transfer"
    )[0]
    (tmp_path / "tasks.toml").write_text(tasks, encoding="utf-8")
    place = replace(made, tasks_file=tmp_path / "tasks.toml", root=tmp_path)
    best = made.stage("fine-tune", "alike") / "best"
    assert place.build("--checkpoint", f"vector={best}", task="vector") == 0
    assert evaluation(place, "vector")["rows"] == 0
    assert Pipeline.load(place.output, "vector").manifest.variants[0].evaluations == ()


def test_another_dimension_takes_a_projection(
    made: Place, tmp_path: Path, one_line: Callable[..., str], capsys: pytest.CaptureFixture[str]
) -> None:
    tasks = tmp_path / "tasks.toml"
    tasks.write_text(TASKS.replace("dimension = 32", "dimension = 12"), encoding="utf-8")
    place = replace(made, tasks_file=tasks, root=tmp_path)
    best = made.stage("fine-tune", "alike") / "best"
    one_line(
        place.build("--checkpoint", f"vector={best}", "--until", "export", task="vector"),
        "has no projection.weight, so it is not fine-tuned for such a task",
    )
    assert place.build("--set", "epochs=0.2", "--until", "evaluate", task="alike") == 0
    own = place.stage("fine-tune", "alike") / "best"
    assert read_checkpoint(own).weights["projection.weight"].shape == (HIDDEN, 12)
    assert place.build("--checkpoint", f"vector={own}", task="vector") == 0
    (answer,) = Pipeline.load(place.output, "vector").predict([("的一不是",)])
    assert not isinstance(answer, str) and len(answer.numeric["EMBEDDING"]) == 12
    capsys.readouterr()
    tasks.write_text(TASKS.replace("dimension = 32", "dimension = 13"), encoding="utf-8")
    one_line(
        place.build("--checkpoint", f"vector={own}", "--until", "export", task="vector"),
        "projection.weight is [32, 12], the task needs [32, 13]",
    )


def test_scores_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text("a\tb\t5\n\nc d\te\t2.5\n", encoding="utf-8")
    expected = [Example(("a", "b"), 5.0, 1), Example(("c d", "e"), 2.5, 3)]
    assert list(pair_scores(path, {})) == expected
    texts = [Example((text,), e.target, e.line) for e in expected for text in e.texts]
    assert list(pair_texts(path, {"pairs": "pair_scores"})) == texts
    path.write_text("text_a\ttext_b\tlabel\na\tb\t1\n", encoding="utf-8")
    columns = {"text": "text_a", "text_pair": "text_b", "label": "label"}
    assert list(pair_texts(path, {"pairs": "labelled_tsv", **columns})) == [
        Example(("a",), "1", 2),
        Example(("b",), "1", 2),
    ]
    assert [KIND.check(e, manifest_of()) for e in labelled_tsv(path, columns)] == [None]


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("a\tb\t5\na\tb", ":2: 2 fields, expected two texts and a score, with TAB between"),
        ("a\tb\tc\t5", ":1: 4 fields, expected two texts"),
        ("a\tb\t很像", ":1: the score '很像' is not a number"),
        ("sentence1\tsentence2\tscore\n", ":1: the score 'score' is not a number"),
    ],
)
def test_files_that_hold_no_scores(tmp_path: Path, content: str, says: str) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text(content, encoding="utf-8")
    with pytest.raises(DataError) as raised:
        list(pair_scores(path, {}))
    assert says in str(raised.value)


@pytest.mark.parametrize(
    ("columns", "says"),
    [
        ({}, 'data.fields.pairs must name the format of the pairs, such as "clue_json"'),
        ({"pairs": "labelled_tsv", "text": "a"}, "data.fields: labelled_tsv gives 1 texts, a pair has 2"),
        ({"pairs": "excel"}, "data format 'excel' is none of"),
    ],
)
def test_pairs_that_are_none(tmp_path: Path, columns: dict[str, str], says: str) -> None:
    path = tmp_path / "dev.tsv"
    path.write_text("a\tb\tlabel\nx\ty\t1\n", encoding="utf-8")
    with pytest.raises((ConfigError, DataError)) as raised:
        list(pair_texts(path, columns))
    assert says in str(raised.value)
