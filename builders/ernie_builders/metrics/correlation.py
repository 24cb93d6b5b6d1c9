"""How well scores of text pairs agree with labels: correlations, and accuracy at the best threshold."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from .row_metric import RowMetric


def pearson(left: np.ndarray, right: np.ndarray) -> float:
    """Pearson's correlation of two float64 [N], -1 to 1; 0 where all values of one side are equal."""
    if not len(left):
        return 0.0
    left, right = left - left.mean(), right - right.mean()
    scale = math.sqrt(float(left @ left) * float(right @ right))
    return float(left @ right) / scale if scale > 0 else 0.0


def spearman(left: Sequence[float] | np.ndarray, right: Sequence[float] | np.ndarray) -> float:
    """Spearman's rank correlation: Pearson's correlation of the ranks, -1 to 1; 0 where one side is constant.

    scipy.stats.spearmanr is the same, but for NaN and a warning where one side is constant.
    """
    from scipy.stats import rankdata

    return pearson(rankdata(left), rankdata(right))


def best_threshold(scores: Sequence[float] | np.ndarray, same: Sequence[bool] | np.ndarray) -> tuple[float, float]:
    """(accuracy 0 to 1, threshold): where `score >= threshold` is most often correct; the lowest of equally good ones.

    The threshold lies midway between two scores, or beyond the last: -1 says "same" to every pair, 2 to none.
    """
    order = np.argsort(scores, kind="stable")
    values, labels = np.asarray(scores, np.float64)[order], np.asarray(same, bool)[order]
    # correct[i]: how many are correct where the first i pairs are called different and the others the same
    correct = np.concatenate([[0], np.cumsum(~labels)]) + labels.sum() - np.concatenate([[0], np.cumsum(labels)])
    between = np.concatenate([[True], values[1:] > values[:-1], [True]])
    best = int(np.argmax(np.where(between, correct, -1)))
    edges = np.concatenate([[-1.0], (values[1:] + values[:-1]) / 2, [2.0]])
    return float(correct[best]) / max(len(values), 1), float(edges[best])


def pair_metrics(cosines: Sequence[float | None], labels: Sequence[float]) -> dict[str, RowMetric]:
    """`spearman` and `pearson` x 100; for labels that are all 0 or 1 `accuracy_best_threshold` in percent and
    `threshold`.

    A cosine of None, a pair that could not be answered, counts as the opposite of its label.
    """
    middle = (max(labels, default=0) + min(labels, default=0)) / 2
    scores = [
        (-1.0 if label > middle else 1.0) if cosine is None else cosine
        for cosine, label in zip(cosines, labels, strict=True)
    ]
    rows = np.array([scores, labels], np.float64).T
    metrics = {"spearman": RowMetric(rows=rows, of=_spearman), "pearson": RowMetric(rows=rows, of=_pearson)}
    if set(labels) == {0.0, 1.0}:
        metrics["accuracy_best_threshold"] = RowMetric(rows=rows, of=_accuracy)
        metrics["threshold"] = RowMetric(rows=rows, of=_threshold)
    return metrics


def _spearman(rows: np.ndarray) -> float:
    return 100 * spearman(rows[:, 0], rows[:, 1])


def _pearson(rows: np.ndarray) -> float:
    return 100 * pearson(rows[:, 0], rows[:, 1])


def _accuracy(rows: np.ndarray) -> float:
    return 100 * best_threshold(rows[:, 0], rows[:, 1] == 1)[0]


def _threshold(rows: np.ndarray) -> float:
    return best_threshold(rows[:, 0], rows[:, 1] == 1)[1]
