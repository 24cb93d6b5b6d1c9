"""How much two runs must differ before it is no chance."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CHANCE = 0.01
"""How often a comparison of two equal runs may report a loss, over all of its cells together."""


@dataclass(frozen=True)
class Noise:
    """Of one figure: standard deviation of its logarithm between rounds, and the degrees of freedom of that."""

    deviation: float
    freedom: int

    def margin(self, first: int, second: int, comparisons: int) -> float:
        """The relative loss that chance alone hardly reaches, between means of so many rounds (two-sample t test on
        logarithms, one-sided, Bonferroni over the comparisons)."""
        error = self.deviation * math.sqrt(1 / first + 1 / second)
        return 1 - math.exp(-student(1 - CHANCE / max(1, comparisons), self.freedom) * error)


def pooled(groups: Sequence[Sequence[float]]) -> Noise | None:
    """Noise from groups of repeated measurements, each of one cell; None where none was repeated."""
    squares, freedom = 0.0, 0
    for values in groups:
        if len(values) > 1:
            logs = [math.log(value) for value in values]
            mean = statistics.fmean(logs)
            squares += sum((value - mean) ** 2 for value in logs)
            freedom += len(logs) - 1
    return Noise(math.sqrt(squares / freedom), freedom) if freedom else None


@functools.cache
def student(probability: float, freedom: int) -> float:
    """Quantile of Student's t, by bisection on its distribution function."""
    low, high = 0.0, 1e4
    for _ in range(80):
        middle = (low + high) / 2
        if _distribution(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return high


def _distribution(t: float, freedom: int) -> float:
    """P(T <= t) for t >= 0: with t = sqrt(freedom) tan(angle) the density is cos(angle)^(freedom - 1) by a
    constant, integrated by Simpson's rule."""
    angle, steps = math.atan(t / math.sqrt(freedom)), 400
    width = angle / steps
    values = [math.cos(i * width) ** (freedom - 1) for i in range(steps + 1)]
    area = width / 3 * (values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2]))
    constant = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    return 0.5 + constant * area
