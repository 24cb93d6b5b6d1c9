"""Nearest neighbours and BERTScore's F1, against figures by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ernie_builders.kinds import get_builder_kind
from ernie_builders.metrics import neighbours
from ernie_builders.metrics.neighbours import neighbours_agree, token_f1
from ernie_builders.readers import Example
from ernie_runtime.kinds import Answer

from ..tiny import manifest_with


def on_circle(*degrees: float) -> np.ndarray:
    return np.array([[np.cos(np.radians(d)), np.sin(np.radians(d))] for d in degrees], np.float32)


@pytest.mark.parametrize("rows", [1024, 2])
def test_the_nearest_other_vector_decides(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(neighbours, "ROWS", rows)
    vectors = on_circle(0, 2, 90, 93, 95)
    assert neighbours_agree(vectors, list("aabbb")).mean() == 1
    # The nearest of 90 is 93, of 93 it is 95, of 95 it is 93.
    assert neighbours_agree(vectors, list("aabab")).mean() == 0.4
    assert not neighbours_agree(vectors, list("abcde")).any()


def test_a_pair_without_an_answer_is_wrong() -> None:
    manifest = manifest_with(0, "pair_embedding", options={"dimension": 2})
    examples = [Example(("a", "b"), label, i) for i, label in enumerate("0011")]
    answers: list[Answer | str] = [Answer({}, {"EMBEDDING": v}) for v in on_circle(0, 1, 90, 91)]
    kind = get_builder_kind("pair_embedding")
    assert kind.score(examples, answers, manifest) == {"neighbour_accuracy": 100}
    assert kind.score(examples, [*answers[:3], "empty"], manifest) == {"neighbour_accuracy": 50}


def test_token_f1() -> None:
    first, second = on_circle(0, 90), on_circle(0, 60, 180)
    precision = (1 + np.cos(np.radians(30))) / 2
    recall = (1 + np.cos(np.radians(30)) + 0) / 3
    assert token_f1(first, second) == pytest.approx(2 * precision * recall / (precision + recall), abs=1e-6)
    assert token_f1(second, first) == pytest.approx(token_f1(first, second))
    assert token_f1(first, first) == pytest.approx(1)
    assert token_f1(on_circle(0), on_circle(180)) == 0


def test_tokens_are_compared_within_pairs() -> None:
    manifest = manifest_with(0, "token_embedding", options={"dimension": 2})
    rows = [on_circle(0, 10), on_circle(0, 10), on_circle(0), on_circle(60), on_circle(0), on_circle(100)]
    answers: list[Answer | str] = [Answer({}, {"EMBEDDINGS": row}) for row in rows]
    examples = [Example(("x",), score, line) for line, score in enumerate((5, 3, 0)) for _ in range(2)]
    kind = get_builder_kind("token_embedding")
    assert kind.score(examples, answers, manifest)["spearman"] == 100
    assert kind.score(examples, answers[::-1], manifest)["spearman"] == -100
    assert kind.score(examples, ["empty", *answers[1:]], manifest)["spearman"] < 100
