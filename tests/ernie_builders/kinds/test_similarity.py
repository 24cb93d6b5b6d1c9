"""Similarity and embeddings when building: metrics, loss and training rows worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_builders.errors import ConfigError
from ernie_builders.framework import import_paddle, import_paddlenlp
from ernie_builders.kinds import get_builder_kind
from ernie_builders.readers import Example
from ernie_builders.training.dataset import training_rows
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Limits
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..tiny import embedding_manifest

KIND = get_builder_kind("similarity")


def test_metrics_of_answers() -> None:
    examples = [Example(("a", "b"), target, 1) for target in (5.0, 3.0, "0")]
    answers: list[Answer | str] = [Answer({"score": s}, {"SCORE": s}) for s in (0.9, 0.4, -0.2)]
    # Pearson: deviations 7/3, 1/3, -8/3 and 16/30, 1/30, -17/30.
    assert KIND.score(examples, answers, embedding_manifest(max_score=5)) == {"spearman": 100, "pearson": 99.805}
    embedding = get_builder_kind("embedding")
    pairs = [Example((text,), target, 1) for target in (5.0, 3.0, "0") for text in ("a", "b")]
    vectors = [(2, 0), (9, 1), (0, 1), (1, 1), (1, 0), (0, 1)]
    embeddings: list[Answer | str] = [Answer({}, {"EMBEDDING": np.array(v, np.float32)}) for v in vectors]
    manifest = embedding_manifest("embedding", 2)
    assert embedding.score(pairs, embeddings, manifest)["spearman"] == 100
    assert embedding.score(pairs, ["the text is empty", *embeddings[1:]], manifest)["spearman"] == -50
    assert embedding.wrong(pairs[0], embeddings[0], manifest) is None
    assert embedding.wrong(pairs[0], "too long", manifest) == {"text": "a", "error": "too long"}


def test_answers_far_off_are_wrong() -> None:
    manifest, example = embedding_manifest(max_score=5), Example(("a", "b"), 4.0, 1)
    for score in (0.3, 0.8, 1.0):
        assert KIND.wrong(example, Answer({"score": score}, {}), manifest) is None
    assert KIND.wrong(example, Answer({"score": 0.29}, {}), manifest) == {
        "text": ["a", "b"],
        "expected": 0.8,
        "score": 0.29,
    }
    assert KIND.wrong(example, "empty", manifest) == {"text": ["a", "b"], "expected": 0.8, "error": "empty"}


@pytest.mark.parametrize(
    ("target", "message"),
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
def test_targets_that_are_not_scores(target: Any, message: str | None) -> None:
    fault = KIND.check(Example(("a", "b"), target, 1), embedding_manifest(max_score=5))
    assert (fault is None) if message is None else (fault is not None and message in fault)
    if "outside" not in (message or ""):
        embedding_fault = get_builder_kind("embedding").check(
            Example(("a",), target, 1), embedding_manifest("embedding")
        )
        assert (embedding_fault is None) is (message is None)


def loss_of(pairs: list[tuple[float, float]]) -> float:
    """The loss of pairs given as (cosine, score); the vectors of a pair follow each other and differ in length."""
    paddle = import_paddle()
    import_paddlenlp()
    vectors = [row for cosine, _ in pairs for row in ((3.0, 0.0), (cosine, (1 - cosine**2) ** 0.5))]
    targets = {"score": paddle.to_tensor(np.array([score for _, score in pairs], np.float32))}
    return float(KIND.loss({"embedding": paddle.to_tensor(np.array(vectors, np.float32))}, targets))


def test_loss() -> None:
    assert loss_of([(0.5, 0.5), (1, 1), (0, 0)]) == pytest.approx(0, abs=1e-9)
    assert loss_of([(0.5, 1)]) == pytest.approx(0.25, abs=1e-6)
    assert loss_of([(-1, 1), (0.8, 0.2)]) == pytest.approx((4 + 0.36) / 2, abs=1e-5)


def test_rows_hold_the_first_window_of_each_text(vocabulary: Path, characters: list[str]) -> None:
    tokenizer, manifest = (
        ErnieTokenizer.from_vocab(vocabulary),
        replace(embedding_manifest(max_score=5), limits=Limits(max_length=8, doc_stride=4)),
    )
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
