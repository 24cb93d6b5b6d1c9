"""Metrics that are computed from numbers of each example, so that their standard error can be known.

Source of the intervals: Efron and Tibshirani 1993, "An Introduction to the Bootstrap"; of the paired test on right and
wrong answers: McNemar 1947, in its exact form.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ernie_runtime.manifest import Evaluation

RESAMPLES = 400
SEED = 0
DIGITS = 3

Value = Callable[[np.ndarray], float]
"""Numbers of examples, float64 [N, ...] with N at least 1 -> the metric, in points; NaN where it is undefined."""


@dataclass(frozen=True, kw_only=True)
class RowMetric:
    """A metric and what it is computed from."""

    rows: np.ndarray  # float64 [N, ...], an entry for each example
    of: Value

    @cached_property
    def value(self) -> float:
        """In points; 0 without examples, or where it is undefined."""
        value = float(self.of(self.rows)) if len(self.rows) else 0.0
        return 0.0 if math.isnan(value) else round(value, DIGITS)

    @cached_property
    def standard_error(self) -> float:
        """In points: binomial for a share, else of resampled examples; 0 without examples."""
        if not len(self.rows):
            return 0.0
        if self.of is mean:
            return round(100 * float(self.rows.std()) / float(np.sqrt(len(self.rows))), DIGITS)
        values = np.array([self.of(self.rows[picked]) for picked in _resamples(len(self.rows))])
        values = values[~np.isnan(values)]
        return round(float(values.std()), DIGITS) if len(values) else 0.0


@dataclass(frozen=True, kw_only=True)
class Loss:
    """What a variant loses against the baseline on the same examples, in points of the metric."""

    points: float
    standard_error: float
    p_value: float  # how probable a loss at least as large is, where the two are equally good


SHARES = {
    "sequence_classification": ("accuracy",),
    "pair_classification": ("accuracy",),
    "intent_slots": ("exact", "exact_value", "accuracy"),
    "hierarchical_classification": ("exact_match",),
    "question_answering": ("em",),
    "ranking": ("accuracy_at_1",),
}
"""Kind -> metrics that are the share of the rows that are right."""


def errors_of_shares(kind: str, evaluation: Evaluation) -> dict[str, float]:
    """The binomial standard errors, in points, that the figures and the number of rows tell; no row is needed."""
    shares = {name: evaluation.metrics[name] / 100 for name in SHARES.get(kind, ()) if name in evaluation.metrics}
    return {
        name: round(100 * math.sqrt(share * (1 - share) / evaluation.rows), DIGITS)
        for name, share in shares.items()
        if evaluation.rows
    }


def with_error(value: float, error: float | None) -> str:
    """A figure with its standard error, for a person."""
    return f"{value:.2f}" if error is None else f"{value:.2f} ± {error:.2f}"


def loss(baseline: RowMetric, variant: RowMetric) -> Loss:
    """Compare two models on the same examples; both metrics are computed in the same way.

    The test is McNemar's exact one where each example is right or wrong, else the paired bootstrap, one-sided.
    """
    before, after = baseline.rows, variant.rows
    points = round(baseline.value - variant.value, DIGITS)
    if not len(before) or np.array_equal(before, after):
        return Loss(points=points, standard_error=0.0, p_value=1.0)
    if baseline.of is mean and set(np.unique((before, after))) <= {0.0, 1.0}:
        from scipy.stats import binomtest

        worse, better = int(np.sum(before > after)), int(np.sum(before < after))
        error = 100 * float(np.std(before - after)) / float(np.sqrt(len(before)))
        p_value = float(binomtest(worse, worse + better, 0.5, alternative="greater").pvalue)
        return Loss(points=points, standard_error=round(error, DIGITS), p_value=p_value)
    losses = np.nan_to_num(
        [baseline.of(before[picked]) - variant.of(after[picked]) for picked in _resamples(len(before))]
    )
    # Not below 1 / (RESAMPLES + 1): so few resamples cannot tell.
    p_value = float((1 + np.sum(losses <= 0)) / (1 + len(losses)))
    return Loss(points=points, standard_error=round(float(losses.std()), DIGITS), p_value=p_value)


def _resamples(rows: int) -> Iterator[np.ndarray]:
    """RESAMPLES times indices of examples drawn with replacement, int64 [rows]; the same ones for the same `rows`."""
    random = np.random.default_rng(SEED)
    for _ in range(RESAMPLES):
        yield random.integers(0, rows, rows)


def mean(rows: np.ndarray) -> float:
    """Of numbers from 0 to 1, [N], in percent."""
    return 100 * float(rows.mean())


def share(rows: np.ndarray) -> float:
    """Of counts [N, 2] (right, all): all that are right in percent; NaN where there is nothing to count."""
    right, total = rows.sum(axis=0)
    return 100 * float(right) / float(total) if total else math.nan


def precision(rows: np.ndarray) -> float:
    """Of counts [N, 3] (correct, predicted, expected), summed, in percent."""
    return share(rows[:, [0, 1]])


def recall(rows: np.ndarray) -> float:
    """As `precision`."""
    return share(rows[:, [0, 2]])


def f1(rows: np.ndarray) -> float:
    """As `precision`: the harmonic mean of precision and recall."""
    correct, predicted, expected = rows.sum(axis=0)
    return 200 * float(correct) / float(predicted + expected) if predicted + expected else math.nan


def macro_precision(rows: np.ndarray) -> float:
    """Of counts [N, C, 3] (correct, predicted, expected): the mean over the classes predicted or expected at all."""
    return _macro(rows, lambda correct, predicted, expected: correct / np.maximum(predicted, 1))


def macro_recall(rows: np.ndarray) -> float:
    """As `macro_precision`."""
    return _macro(rows, lambda correct, predicted, expected: correct / np.maximum(expected, 1))


def macro_f1(rows: np.ndarray) -> float:
    """As `macro_precision`."""
    return _macro(rows, lambda correct, predicted, expected: 2 * correct / np.maximum(predicted + expected, 1))


def _macro(rows: np.ndarray, of: Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]) -> float:
    correct, predicted, expected = rows.sum(axis=0).T
    seen = (predicted + expected) > 0
    return 100 * float(of(correct, predicted, expected)[seen].mean()) if seen.any() else 0.0


def counts(correct: np.ndarray, predicted: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Three arrays of one shape as the rows of the metrics above: one dimension of 3 is added."""
    rows: np.ndarray = np.stack([correct, predicted, expected], axis=-1).astype(np.float64)
    return rows
