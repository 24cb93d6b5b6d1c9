"""Precision, recall and F1 class by class, and a table of them that a spreadsheet opens."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class ClassRow:
    """One class: how often it was expected, predicted, and both."""

    label: str
    level: int | None = None  # in a tree of labels, 1 at the top; None: no tree
    expected: int
    predicted: int
    correct: int
    texts: int | None = None  # that have the class, where one may have it more than once; None: `expected`

    @property
    def precision(self) -> float | None:
        """In percent; None where the class was never predicted."""
        return round(100 * self.correct / self.predicted, 3) if self.predicted else None

    @property
    def recall(self) -> float | None:
        """In percent; None where the class was never expected."""
        return round(100 * self.correct / self.expected, 3) if self.expected else None

    @property
    def f1(self) -> float | None:
        """In percent; None where the class was neither predicted nor expected."""
        total = self.predicted + self.expected
        return round(200 * self.correct / total, 3) if total else None

    def share(self, examples: int) -> float:
        """In percent: the examples that have the class, of all."""
        return round(100 * (self.expected if self.texts is None else self.texts) / max(examples, 1), 1)


def write_classes(path: Path, rows: Sequence[ClassRow], examples: int) -> None:
    """Tab-separated with a header; undefined figures are empty. The level is a column where the first row has one.

    examples: of which `share` is the percentage that has the class.
    """
    has_level = bool(rows) and rows[0].level is not None
    header = [
        "label",
        *(["level"] if has_level else []),
        "expected",
        "share",
        "predicted",
        "right",
        "precision",
        "recall",
        "f1",
    ]
    with path.open("w", encoding="utf-8") as out:
        out.write("\t".join(header) + "\n")
        for row in rows:
            counts = [row.expected, row.share(examples), row.predicted, row.correct, row.precision, row.recall, row.f1]
            values = [row.label, *([row.level] if has_level else []), *counts]
            out.write("\t".join("" if value is None else str(value) for value in values) + "\n")
