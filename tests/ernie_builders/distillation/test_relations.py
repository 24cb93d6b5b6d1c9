"""What a student encoder copies, against plain numpy."""

from __future__ import annotations

import numpy as np
import pytest

from ernie_builders.distillation.relations import divergence, relation, relation_heads
from ernie_builders.errors import ConfigError
from ernie_builders.framework import import_paddle


def softmax(scores: np.ndarray) -> np.ndarray:
    powers = np.exp(scores - scores.max(-1, keepdims=True))
    return powers / powers.sum(-1, keepdims=True)


def test_relation() -> None:
    paddle = import_paddle("cpu")
    vectors = np.random.default_rng(0).standard_normal((2, 5, 12)).astype(np.float32)
    log_relations = relation(paddle.to_tensor(vectors), 3).numpy()
    assert log_relations.shape == (2, 3, 5, 5)
    for head in range(3):
        head_vectors = vectors[:, :, 4 * head : 4 * head + 4]
        expected = softmax(head_vectors @ head_vectors.transpose(0, 2, 1) / np.sqrt(4))
        np.testing.assert_allclose(np.exp(log_relations[:, head]), expected, atol=1e-6)


def test_divergence() -> None:
    paddle = import_paddle("cpu")
    generator = np.random.default_rng(1)
    p, q = (softmax(generator.standard_normal((2, 3, 4, 4))).astype(np.float32) for _ in range(2))
    loss = float(divergence(paddle.to_tensor(np.log(p)), paddle.to_tensor(np.log(q))))
    assert loss == pytest.approx(float((p * np.log(p / q)).sum(-1).mean()), rel=1e-4)
    assert float(divergence(paddle.to_tensor(np.log(p)), paddle.to_tensor(np.log(p)))) == 0


def test_relation_heads() -> None:
    assert relation_heads([312, 156]) == 13
    assert relation_heads([768, 312]) == 12
    assert relation_heads([312, 156], 6) == 6
    with pytest.raises(ConfigError, match="--relation-heads 12: does not divide 100 hidden units"):
        relation_heads([312, 100], 12)
    with pytest.raises(ConfigError, match="--relation-heads 96: must be 1 to 48"):
        relation_heads([768, 384], 96)
