"""Losses: padding has no weight, and the contract, not a shape, says which outputs are per token."""

from __future__ import annotations

import numpy as np
import pytest

from ernie_builders.framework import import_paddle, import_paddlenlp
from ernie_builders.kinds import IGNORED


def test_padding_has_no_weight() -> None:
    """A batch's loss is that of its texts, however long the longest is."""
    paddle = import_paddle()
    import_paddlenlp()
    from ernie_builders.kinds._layers import token_loss

    logits = np.random.default_rng(0).standard_normal((2, 3, 4), np.float32)
    tags = np.array([[1, 3, IGNORED], [0, IGNORED, IGNORED]])
    wide = np.zeros((2, 9, 4), np.float32)
    wide[:, :3], padded = logits, np.full((2, 9), IGNORED)
    padded[:, :3] = tags
    losses = -np.log(np.exp(logits) / np.exp(logits).sum(-1, keepdims=True))
    right = np.mean([losses[0, 0, 1], losses[0, 1, 3], losses[1, 0, 0]])
    for values, targets in ((logits, tags), (wide, padded)):
        loss = token_loss(paddle.to_tensor(values), paddle.to_tensor(targets))
        assert float(loss) == pytest.approx(right, rel=1e-5)
    assert float(token_loss(paddle.to_tensor(logits), paddle.full([2, 3], IGNORED, "int64"))) == 0


def test_classes_are_not_taken_for_tokens() -> None:
    """Logits [B, C] of texts as long as there are classes."""
    paddle = import_paddle()
    from ernie_builders.training.distiller import squared_error

    ours, theirs = paddle.zeros([2, 3]), paddle.to_tensor(np.array([[0, 0, 3], [0, 0, 0]], np.float32))
    real = paddle.to_tensor(np.array([[1, 1, 0], [1, 0, 0]], np.float32))
    assert float(squared_error(ours, theirs, None)) == pytest.approx(1.5)
    assert float(squared_error(ours, theirs, real)) == 0
    assert float(squared_error(ours[..., None], theirs[..., None] + 1, real)) == pytest.approx(1)
