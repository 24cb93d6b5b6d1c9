"""Correlations and thresholds of pair scores on cases worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from ernie_builders.metrics.correlation import best_threshold, pair_metrics, pearson, spearman


def values(cosines: list[float | None], labels: list[float]) -> dict[str, float]:
    return {name: metric.value for name, metric in pair_metrics(cosines, labels).items()}


@pytest.mark.parametrize(
    ("scores", "labels", "expected"),
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
def test_spearman(scores: list[float], labels: list[float], expected: float) -> None:
    assert spearman(scores, labels) == pytest.approx(expected, abs=1e-7)
    assert spearman(labels, scores) == pytest.approx(expected, abs=1e-7)


@pytest.mark.parametrize(
    ("scores", "same", "accuracy", "threshold"),
    [
        ([0.9, 0.1, 0.8, 0.3], [True, False, True, False], 1, 0.55),
        ([0.9, 0.1, 0.8, 0.3], [False, False, True, True], 0.75, 0.2),
        ([0.4, 0.2], [True, True], 1, -1),
        ([0.4, 0.2], [False, False], 1, 2),
        ([0.5, 0.5, 0.5], [True, False, False], 2 / 3, 2),  # equal scores cannot be told apart
    ],
)
def test_best_threshold(scores: list[float], same: list[bool], accuracy: float, threshold: float) -> None:
    assert best_threshold(scores, same) == pytest.approx((accuracy, threshold))


def test_best_threshold_is_the_best_of_all() -> None:
    generator = np.random.default_rng(0)
    for _ in range(100):
        scores = generator.integers(0, 6, 12) / 5
        same = generator.random(12) < scores
        accuracy, threshold = best_threshold(scores.tolist(), same.tolist())
        assert accuracy == pytest.approx(np.mean((scores >= threshold) == same))
        assert accuracy >= max(np.mean((scores >= t) == same) for t in np.linspace(-0.5, 1.5, 41)) - 1e-9


def test_metrics() -> None:
    assert values([0.9, 0.5, 0.1], [5, 3, 0])["spearman"] == 100
    binary = values([0.9, 0.5, 0.1], [1, 1, 0])
    assert binary == {"spearman": 86.603, "pearson": 86.603, "accuracy_best_threshold": 100, "threshold": 0.3}
    # Without an answer a pair that means the same counts as unlike, and the other way round.
    assert values([0.9, None, 0.1], [1, 1, 0]) == values([0.9, -1.0, 0.1], [1, 1, 0])
    assert values([0.9, 0.5, None], [1, 1, 0]) == values([0.9, 0.5, 1.0], [1, 1, 0])


def test_pearson() -> None:
    generator = np.random.default_rng(0)
    left, right = generator.standard_normal((2, 50))
    assert pearson(left, right + left) == pytest.approx(np.corrcoef(left, right + left)[0, 1])
    assert pearson(left, 3 - 2 * left) == pytest.approx(-1)
    assert pearson(left, np.ones(50)) == 0
    assert pearson(np.array([]), np.array([])) == 0
