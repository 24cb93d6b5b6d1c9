"""What an evaluation says: figures with their standard errors, classes, confusions; as text, files and JSON."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ernie_runtime.json_types import JsonObject
from ernie_runtime.kinds import Answer
from ernie_runtime.manifest import Manifest

from ..kinds import get_builder_kind
from ..metrics.class_report import ClassRow, write_classes
from ..metrics.row_metric import RowMetric, with_error
from ..metrics.wrong_rows import WrongRow, write_wrong
from ..readers import Example

CLASSES, CONFUSION = "classes.tsv", "confusion.tsv"
SHOWN_CLASSES = 20  # of the table of confusions; of more classes the most frequent confusions are listed
SHOWN_CONFUSIONS = 10
UNANSWERED = "(no answer)"


@dataclass(frozen=True, kw_only=True)
class Report:
    """The evaluation of a task on a labelled file."""

    manifest: Manifest
    variant: str
    rows: int
    metrics: dict[str, RowMetric]
    classes: Sequence[ClassRow]  # empty for a kind without classes
    confusion: np.ndarray | None
    """int64 [labels, labels + 1]: expected by predicted, the last column unanswered; None for a kind without classes,
    or with several labels a text."""
    wrong: Sequence[WrongRow]

    @property
    def label_names(self) -> list[str]:
        """Of the rows of `confusion`, in its order."""
        return [label.name for label in self.manifest.labels]


def make_report(
    manifest: Manifest, variant: str, examples: Sequence[Example], answers: Sequence[Answer | str]
) -> Report:
    """Score answers, one for each example."""
    kind = get_builder_kind(manifest.kind)
    rows = ((e, kind.wrong(e, answer, manifest)) for e, answer in zip(examples, answers, strict=True))
    return Report(
        manifest=manifest,
        variant=variant,
        rows=len(examples),
        metrics=kind.row_metrics(examples, answers, manifest),
        classes=kind.class_report(examples, answers, manifest),
        confusion=kind.confusion(examples, answers, manifest),
        wrong=[WrongRow(line=e.line, texts=e.texts, about=about) for e, about in rows if about is not None],
    )


def write_files(report: Report, folder: Path) -> list[Path]:
    """wrong.jsonl and bad_case.txt; for kinds with classes classes.tsv and confusion.tsv; which files they are."""
    folder.mkdir(parents=True, exist_ok=True)
    write_wrong(folder, report.wrong)
    paths = [folder / "wrong.jsonl", folder / "bad_case.txt"]
    if report.classes:
        write_classes(folder / CLASSES, report.classes, report.rows)
        paths.append(folder / CLASSES)
    if report.confusion is not None:
        header = ["expected", *report.label_names, UNANSWERED]
        lines = [
            [name, *map(str, row)] for name, row in zip(report.label_names, report.confusion.tolist(), strict=True)
        ]
        text = "".join("\t".join(cells) + "\n" for cells in (header, *lines))
        (folder / CONFUSION).write_text(text, encoding="utf-8")
        paths.append(folder / CONFUSION)
    return paths


def lines(report: Report) -> Iterator[str]:
    """For a person."""
    shown = overall(report)
    width = max(map(len, shown))
    for name, metric in shown.items():
        yield f"  {name:<{width}}  {with_error(metric.value, metric.standard_error)}"
    if report.classes:
        yield from _class_lines(report)
    if report.confusion is not None:
        yield from _confusion_lines(report)


def overall(report: Report) -> dict[str, RowMetric]:
    """The metrics without those of single classes, which are in the table of classes."""
    single = {f"{row.label}_{part}" for row in report.classes for part in ("precision", "recall", "f1")}
    return {name: metric for name, metric in report.metrics.items() if name not in single}


def _class_lines(report: Report) -> Iterator[str]:
    yield " count   share  precision  recall      f1  class"
    for row in report.classes:
        if row.expected or row.predicted:
            figures = [_figure(value, width) for value, width in ((row.precision, 9), (row.recall, 6), (row.f1, 6))]
            yield f"{row.expected:>6}  {row.share(report.rows):>5.1f}%  {'  '.join(figures)}  {row.label}"


def _figure(value: float | None, width: int) -> str:
    return f"{value:>{width}.2f}" if value is not None else f"{'-':>{width}}"


def _confusion_lines(report: Report) -> Iterator[str]:
    assert report.confusion is not None
    table, names = report.confusion, report.label_names
    if len(names) <= SHOWN_CLASSES:
        width = max(len(str(table.max())), len(str(len(names))))
        yield "confusions: a row for each expected class, a column for each predicted one, ? no answer"
        numbers = [str(number) for number in range(1, len(names) + 1)]
        yield "    " + " ".join(f"{number:>{width}}" for number in (*numbers, "?"))
        for number, name, row in zip(numbers, names, table.tolist(), strict=True):
            yield f"{number:>3} " + " ".join(f"{count:>{width}}" for count in row) + f"  {name}"
        return
    off = table.copy()
    np.fill_diagonal(off, 0)
    yield "most frequent confusions: rows, expected -> predicted"
    for cell in np.argsort(-off, axis=None, kind="stable")[:SHOWN_CONFUSIONS]:
        expected, predicted = divmod(int(cell), table.shape[1])
        if off[expected, predicted]:
            yield f"{off[expected, predicted]:>6}  {names[expected]} -> {[*names, UNANSWERED][predicted]}"


def to_json(report: Report) -> JsonObject:
    """For programs."""
    raw: JsonObject = {
        "task": report.manifest.task,
        "version": report.manifest.version,
        "variant": report.variant,
        "rows": report.rows,
        "wrong": len(report.wrong),
        "metrics": {n: {"value": m.value, "standard_error": m.standard_error} for n, m in report.metrics.items()},
    }
    if report.classes:
        raw["classes"] = [
            {
                **{name: value for name, value in vars(row).items() if value is not None},
                **{"precision": row.precision, "recall": row.recall, "f1": row.f1, "share": row.share(report.rows)},
            }
            for row in report.classes
        ]
    if report.confusion is not None:
        raw["confusion"] = {"labels": report.label_names, "counts": report.confusion.tolist()}
    return raw
