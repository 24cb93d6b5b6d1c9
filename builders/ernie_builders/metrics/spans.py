"""Precision, recall and F1 of labelled spans: entities and slots (CoNLL: exact span and type)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .row_metric import RowMetric, f1, precision, recall

Span = tuple[int, int, str]
"""(start, end, type), in characters."""


def span_metrics(expected: Sequence[set[Span]], predicted: Sequence[set[Span]]) -> dict[str, RowMetric]:
    """Micro `precision`, `recall` and `f1` in percent over all texts, and for each type as `TYPE_f1` and so on.

    A span is correct where its type and both ends are.
    """
    types = sorted({span_type for spans in (*expected, *predicted) for _, _, span_type in spans})
    index = {span_type: number for number, span_type in enumerate(types)}
    by_type = np.zeros((len(expected), len(types), 3))  # correct, predicted, expected
    for row, expected_spans, predicted_spans in zip(by_type, expected, predicted, strict=True):
        for column, spans in enumerate((expected_spans & predicted_spans, predicted_spans, expected_spans)):
            for span_type, count in Counter(span_type for _, _, span_type in spans).items():
                row[index[span_type], column] = count
    parts = {"": by_type.sum(axis=1), **{f"{name}_": by_type[:, number] for name, number in index.items()}}
    return {
        prefix + name: RowMetric(rows=rows, of=of)
        for prefix, rows in parts.items()
        for name, of in (("precision", precision), ("recall", recall), ("f1", f1))
    }
