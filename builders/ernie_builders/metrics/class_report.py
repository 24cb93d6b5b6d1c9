"""Precision, recall and F1, and figures class by class as a table that a spreadsheet opens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ClassRow = Mapping[str, Any]


def prf(right: int, predicted: int, expected: int) -> tuple[float, float, float]:
    """Precision, recall, F1 in percent; 0 where undefined."""
    precision, recall = 100 * right / max(predicted, 1), 100 * right / max(expected, 1)
    return precision, recall, 2 * precision * recall / max(precision + recall, 1e-9)


def class_row(label: str, right: int, predicted: int, expected: int, **more: Any) -> ClassRow:
    """One class: how often it was expected, predicted, both; precision, recall and F1 in percent, None if undefined.

    more: columns behind the label, such as its level in a tree.
    """
    return {
        "label": label,
        **more,
        "expected": expected,
        "predicted": predicted,
        "right": right,
        "precision": round(100 * right / predicted, 3) if predicted else None,
        "recall": round(100 * right / expected, 3) if expected else None,
        "f1": round(200 * right / (predicted + expected), 3) if predicted + expected else None,
    }


def write_classes(path: Path, rows: Sequence[ClassRow]) -> None:
    """Tab-separated, a header first, nothing where a figure is undefined; all rows have the first one's columns."""
    with path.open("w", encoding="utf-8") as out:
        for values in (list(rows[0]), *([row[name] for name in rows[0]] for row in rows)):
            out.write("\t".join("" if value is None else str(value) for value in values) + "\n")
