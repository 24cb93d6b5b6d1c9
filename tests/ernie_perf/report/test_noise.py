"""Noise between rounds, and what is beyond it."""

from __future__ import annotations

import math
import random

import pytest

from ernie_perf.report.noise import CHANCE, Noise, pooled_noise, student_quantile


@pytest.mark.parametrize(
    ("probability", "freedom", "value"),
    [(0.95, 4, 2.132), (0.99, 4, 3.747), (0.999, 30, 3.385), (0.95, 1, 6.314), (0.975, 10, 2.228), (0.5, 3, 0.0)],
)
def test_students_t(probability: float, freedom: int, value: float) -> None:
    """As tables of the distribution have it."""
    assert student_quantile(probability, freedom) == pytest.approx(value, abs=2e-3)


def test_noise_is_pooled_over_groups_with_repetitions() -> None:
    """Two groups of two: the mean of their variances, two degrees of freedom; one measurement says nothing."""
    noise = pooled_noise([[100.0, 110.0], [200.0, 220.0], [7.0]])
    assert noise is not None and noise.freedom == 2
    assert noise.deviation == pytest.approx(0.0674, abs=1e-3)
    assert pooled_noise([[1.0], [2.0]]) is None and pooled_noise([]) is None
    assert Noise(0.02, 10).margin(3, 3, 10) > Noise(0.02, 10).margin(9, 9, 10) > Noise(0.01, 10).margin(9, 9, 10)


def test_noise_is_relative() -> None:
    """Milliseconds or microseconds, fast or slow: the same noise."""
    rounds = [[98.0, 100.0, 103.0], [51.0, 50.0, 49.0]]
    first, second = pooled_noise(rounds), pooled_noise([[1000 * value for value in rounds[0]], rounds[1]])
    assert first is not None and second is not None and first.deviation == pytest.approx(second.deviation)


def test_the_margin_of_two_means() -> None:
    """t(0.99, 4) = 3.747 times 1% times sqrt(1/3 + 1/3), as a relative loss."""
    error = 3.747 * 0.01 * math.sqrt(2 / 3)
    assert Noise(0.01, 4).margin(3, 3, 1) == pytest.approx(1 - math.exp(-error), abs=1e-5)


def test_many_comparisons_need_more() -> None:
    """Among a thousand figures one would be beyond a margin made for one."""
    margins = [Noise(0.05, 20).margin(3, 3, comparisons) for comparisons in (1, 10, 1000)]
    assert margins == sorted(margins) and margins[0] < margins[2] < 1


def test_chance_alone_stays_within_the_margin() -> None:
    """Means of three rounds with 2% noise, 2,000 times: about one in a hundred is beyond it."""
    generator, beyond = random.Random(7), 0
    margin = Noise(0.02, 200).margin(3, 3, 1)
    for _ in range(2000):
        first, second = ([generator.gauss(0, 0.02) for _ in range(3)] for _ in range(2))
        beyond += 1 - math.exp(sum(second) / 3 - sum(first) / 3) > margin
    assert 0.3 * CHANCE < beyond / 2000 < 2 * CHANCE
