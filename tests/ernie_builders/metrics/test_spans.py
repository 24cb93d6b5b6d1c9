"""Spans are counted by type and both ends, over all texts."""

from __future__ import annotations

from ernie_builders.metrics.spans import Span, span_metrics


def values(expected: list[set[Span]], predicted: list[set[Span]]) -> dict[str, float]:
    return {name: metric.value for name, metric in span_metrics(expected, predicted).items()}


def test_a_span_is_correct_with_its_type_and_both_ends() -> None:
    expected = [{(0, 2, "PER"), (3, 5, "LOC")}, {(0, 2, "LOC")}, set()]
    predicted = [{(0, 2, "PER"), (3, 6, "LOC")}, {(0, 2, "ORG")}, set()]
    metrics = values(expected, predicted)
    assert metrics == {
        "precision": 33.333,
        "recall": 33.333,
        "f1": 33.333,
        "LOC_precision": 0,
        "LOC_recall": 0,
        "LOC_f1": 0,
        "ORG_precision": 0,
        "ORG_recall": 0,
        "ORG_f1": 0,
        "PER_precision": 100,
        "PER_recall": 100,
        "PER_f1": 100,
    }


def test_without_spans_all_figures_are_0() -> None:
    assert values([set()], [set()]) == {"precision": 0, "recall": 0, "f1": 0}
    assert values([], []) == {"precision": 0, "recall": 0, "f1": 0}
