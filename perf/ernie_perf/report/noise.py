"""How much two runs must differ before chance is no explanation."""

from __future__ import annotations

import functools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

CHANCE = 0.01
"""How often a comparison of two equal runs may report a loss, over all of its figures together."""
SIMPSON_INTERVALS = 400
BISECTIONS = 80


@dataclass(frozen=True)
class Noise:
    """Of one figure between rounds: standard deviation of its logarithm, and that estimate's degrees of freedom."""

    deviation: float
    freedom: int

    def margin(self, first: int, second: int, comparisons: int) -> float:
        """The relative loss that chance alone hardly reaches between means of `first` and `second` rounds.

        A two-sample t test on logarithms, one-sided, with Bonferroni's correction for `comparisons` figures.
        """
        error = self.deviation * math.sqrt(1 / first + 1 / second)
        return 1 - math.exp(-student_quantile(1 - CHANCE / max(1, comparisons), self.freedom) * error)


def pooled_noise(groups: Sequence[Sequence[float]]) -> Noise | None:
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
def student_quantile(probability: float, freedom: int) -> float:
    """Quantile of Student's t distribution for probability >= 0.5, by bisection."""
    low, high = 0.0, 1e4
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        if _student_distribution(middle, freedom) < probability:
            low = middle
        else:
            high = middle
    return high


def _student_distribution(t: float, freedom: int) -> float:
    """P(T <= t) for t >= 0, by Simpson's rule.

    With t = sqrt(freedom) tan(angle) the density is a constant times cos(angle)^(freedom - 1).
    """
    angle = math.atan(t / math.sqrt(freedom))
    width = angle / SIMPSON_INTERVALS
    values = [math.cos(i * width) ** (freedom - 1) for i in range(SIMPSON_INTERVALS + 1)]
    area = width / 3 * (values[0] + values[-1] + 4 * sum(values[1:-1:2]) + 2 * sum(values[2:-1:2]))
    constant = math.exp(math.lgamma((freedom + 1) / 2) - math.lgamma(freedom / 2)) / math.sqrt(math.pi)
    return 0.5 + constant * area
