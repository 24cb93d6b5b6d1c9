"""Layers for training on a CPU: the same outputs and gradients as Paddle's own, with less work."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from ernie_builders.checkpoints.random_encoder import random_encoder
from ernie_builders.framework import import_paddle, import_paddlenlp
from ernie_builders.modeling.model import build_layer

paddle = import_paddle("cpu")
transformers = import_paddlenlp()
cpu_training = importlib.import_module("ernie_builders.modeling.cpu_layers")  # when Paddle is set up

CLASSES = ["ErnieForSequenceClassification", "ErnieForTokenClassification", "ErnieForQuestionAnswering"]
LABELS = 3


def model(name: str, dropout: float = 0.0) -> Any:
    """A small one, whose normalization and biases are not the ones and zeros that they begin with."""
    start = random_encoder("random:2x24x2", 0)
    generator = np.random.default_rng(1)
    for key, value in start.weights.items():
        if value.ndim == 1:
            start.weights[key] = value + 0.2 * generator.standard_normal(value.shape, np.float32)
    return build_layer(getattr(transformers, name), start, LABELS, dropout)


def outputs(layer: Any) -> list[Any]:
    """Of five rows of 17 tokens, one of them padded."""
    ids = np.random.default_rng(2).integers(5, 8000, (5, 17))
    ids[3, 9:] = 0
    raw = layer(paddle.to_tensor(ids), token_type_ids=paddle.zeros(ids.shape, "int64"))
    return list(raw) if isinstance(raw, (list, tuple)) else [raw]


def gradients(layer: Any) -> dict[str, np.ndarray]:
    layer.train()
    sum((value**3).mean() for value in outputs(layer)).backward()
    return {name: p.grad.numpy() for name, p in layer.named_parameters() if p.grad is not None}


@pytest.mark.parametrize("name", CLASSES)
@pytest.mark.parametrize("all_tokens", [False, True])
def test_the_same_gradients(name: str, all_tokens: bool) -> None:
    theirs, ours = model(name), model(name)
    cpu_training.speed_up(ours, all_tokens)
    first_only = ours.ernie.encoder.layers[-1].first_only
    assert first_only is (name == "ErnieForSequenceClassification" and not all_tokens)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    expected, actual = gradients(theirs), gradients(ours)
    assert expected.keys() == actual.keys()
    for key, value in expected.items():
        np.testing.assert_allclose(actual[key], value, rtol=1e-3, atol=2e-5 * np.abs(value).max() + 1e-9, err_msg=key)


@pytest.mark.parametrize("name", CLASSES)
def test_the_same_answers_in_eval_mode(name: str) -> None:
    theirs, ours = model(name, dropout=0.5), model(name, dropout=0.5)
    cpu_training.speed_up(ours)
    for layer in (theirs, ours):
        layer.eval()
    for a, b in zip(outputs(theirs), outputs(ours), strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_dropout_drops_by_the_rate_and_by_the_seed() -> None:
    ones = paddle.ones([203, 517])
    drawn = []
    for seed in (3, 3, 4):
        paddle.seed(seed)
        drawn.append([cpu_training.dropout(ones, 0.1).numpy() for _ in range(2)])
    first, second = drawn[0]
    assert abs((first == 0).mean() - 0.1) < 0.004, "three standard deviations"
    np.testing.assert_allclose(np.unique(first), [0, 1 / 0.9], rtol=1e-6)
    assert (first != second).any()
    np.testing.assert_array_equal(drawn[0], drawn[1])
    assert (drawn[0][0] != drawn[2][0]).any()
    assert cpu_training.dropout(ones, 0.0) is ones


def test_every_place_with_dropout_is_replaced() -> None:
    """With all of it at 0.5 a step differs from one without; at the same seed it is the same again."""
    layer = model("ErnieForTokenClassification", dropout=0.5)
    cpu_training.speed_up(layer)
    layer.train()
    results = []
    for seed in (5, 5, 6):
        paddle.seed(seed)
        results.append(outputs(layer)[0].numpy())
    np.testing.assert_array_equal(results[0], results[1])
    assert (results[0] != results[2]).any()
    remaining = {type(part) for part in layer.sublayers()} & set(cpu_training.REPLACEMENTS)
    assert not remaining, "layers of Paddle's own are left"
