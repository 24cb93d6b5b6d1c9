"""Precision, recall and F1 of labelled spans: entities and slots (CoNLL: exact span and type)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from .class_report import ClassRow
from .row_metric import RowMetric, f1, precision, recall

Span = tuple[int, int, str]
"""(start, end, type), in characters."""


def span_classes(expected: Sequence[set[Span]], predicted: Sequence[set[Span]]) -> list[ClassRow]:
    """A row for each type that occurs, sorted."""
    types, by_type = _counts(expected, predicted)
    totals, texts = by_type.sum(axis=0).astype(int), (by_type[:, :, 2] > 0).sum(axis=0)
    return [
        ClassRow(label=name, correct=int(row[0]), predicted=int(row[1]), expected=int(row[2]), texts=int(having))
        for name, row, having in zip(types, totals, texts, strict=True)
    ]


def span_metrics(expected: Sequence[set[Span]], predicted: Sequence[set[Span]]) -> dict[str, RowMetric]:
    """Micro `precision`, `recall` and `f1` in percent over all texts, and for each type as `TYPE_f1` and so on.

    A span is correct where its type and both ends are.
    """
    types, by_type = _counts(expected, predicted)
    parts = {"": by_type.sum(axis=1), **{f"{name}_": by_type[:, number] for number, name in enumerate(types)}}
    return {
        prefix + name: RowMetric(rows=rows, of=of)
        for prefix, rows in parts.items()
        for name, of in (("precision", precision), ("recall", recall), ("f1", f1))
    }


def _counts(expected: Sequence[set[Span]], predicted: Sequence[set[Span]]) -> tuple[list[str], np.ndarray]:
    """(types that occur, sorted; float64 [texts, types, 3]: correct, predicted and expected spans)."""
    types = sorted({span_type for spans in (*expected, *predicted) for _, _, span_type in spans})
    index = {span_type: number for number, span_type in enumerate(types)}
    by_type = np.zeros((len(expected), len(types), 3))
    for row, expected_spans, predicted_spans in zip(by_type, expected, predicted, strict=True):
        for column, spans in enumerate((expected_spans & predicted_spans, predicted_spans, expected_spans)):
            for span_type, count in Counter(span_type for _, _, span_type in spans).items():
                row[index[span_type], column] = count
    return types, by_type
