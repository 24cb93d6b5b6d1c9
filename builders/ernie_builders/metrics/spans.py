"""Precision, recall and F1 of labelled spans: entities and slots (CoNLL: exact span and type)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .class_report import precision_recall_f1

Span = tuple[int, int, str]
"""(start, end, type), in characters."""


def span_metrics(expected: Sequence[set[Span]], predicted: Sequence[set[Span]]) -> dict[str, float]:
    """Micro `precision`, `recall` and `f1` in percent over all texts, and for each type as `TYPE_f1` and so on.

    A span is correct where its type and both ends are.
    """
    correct_counts: Counter[str] = Counter()
    predicted_counts: Counter[str] = Counter()
    expected_counts: Counter[str] = Counter()
    for expected_spans, predicted_spans in zip(expected, predicted, strict=True):
        for counts, spans in (
            (expected_counts, expected_spans),
            (predicted_counts, predicted_spans),
            (correct_counts, expected_spans & predicted_spans),
        ):
            counts.update(span_type for _, _, span_type in spans)
    rows = {"": (correct_counts.total(), predicted_counts.total(), expected_counts.total())}
    for span_type in sorted(expected_counts | predicted_counts):
        rows[f"{span_type}_"] = (correct_counts[span_type], predicted_counts[span_type], expected_counts[span_type])
    metrics = {}
    for prefix, row in rows.items():
        for name, value in zip(("precision", "recall", "f1"), precision_recall_f1(*row), strict=True):
            metrics[prefix + name] = round(value, 3)
    return metrics
