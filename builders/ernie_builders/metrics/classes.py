"""Figures of classification: how often each class was predicted where another, or the same, was expected."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np

from .row_metric import RowMetric, mean

NONE = -1  # predicted where a text has no answer


def confusion(pairs: np.ndarray, classes: int) -> np.ndarray:
    """int64 [classes, classes + 1] from pairs [N, 2] (expected, predicted); the last column counts NONE."""
    expected, predicted = pairs.astype(np.int64).T
    cells = expected * (classes + 1) + np.where(predicted == NONE, classes, predicted)
    return np.bincount(cells, minlength=classes * (classes + 1)).reshape(classes, classes + 1)


def class_metrics(pairs: np.ndarray, classes: int, positive: int | None = None) -> dict[str, RowMetric]:
    """`accuracy`, `macro_precision`, `macro_recall`, `macro_f1`, `matthews`; `f1` of the class `positive`, if one is.

    pairs: float64 [N, 2], the expected and the predicted class of each example.
    """
    metrics = {"accuracy": RowMetric(rows=(pairs[:, 0] == pairs[:, 1]).astype(np.float64), of=mean)}
    if positive is not None:
        metrics["f1"] = RowMetric(rows=pairs, of=partial(_f1, classes=classes, positive=positive))
    for number, name in enumerate(("macro_precision", "macro_recall", "macro_f1")):
        metrics[name] = RowMetric(rows=pairs, of=partial(_macro, classes=classes, number=number))
    metrics["matthews"] = RowMetric(rows=pairs, of=partial(_matthews, classes=classes))
    return metrics


def _by_class(table: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(correct, predicted, expected), float64 [classes] each."""
    square = table[:, :-1].astype(np.float64)
    return square.diagonal(), square.sum(axis=0), table.sum(axis=1).astype(np.float64)


def _macro(pairs: np.ndarray, classes: int, number: int) -> float:
    """Mean precision (number 0), recall (1) or F1 (2) of the classes that are expected or predicted, in percent."""
    correct, predicted, expected = _by_class(confusion(pairs, classes))
    below = ((predicted, 1), (expected, 1), (predicted + expected, 2))
    divisor, factor = below[number]
    seen = (predicted + expected) > 0
    return 100 * float((factor * correct / np.maximum(divisor, 1))[seen].mean())


def _f1(pairs: np.ndarray, classes: int, positive: int) -> float:
    correct, predicted, expected = (values[positive] for values in _by_class(confusion(pairs, classes)))
    return 200 * float(correct) / float(max(predicted + expected, 1))


def _matthews(pairs: np.ndarray, classes: int) -> float:
    """Matthews' correlation x 100, for any number of classes (Gorodkin 2004); 0 where one side is constant."""
    table = confusion(pairs, classes).astype(np.float64)
    expected, predicted = table.sum(axis=1), table.sum(axis=0)
    total, right = table.sum(), table.trace()
    covariance = right * total - expected @ predicted[:-1]
    scale = (total**2 - predicted @ predicted) * (total**2 - expected @ expected)
    return 100 * float(covariance) / float(np.sqrt(scale)) if scale > 0 else 0.0


def as_pairs(expected: Sequence[int], predicted: Sequence[int]) -> np.ndarray:
    """float64 [N, 2]."""
    return np.array([expected, predicted], np.float64).reshape(2, -1).T
