"""The picture of an evaluation: figures with their standard errors, F1 by class, confusions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .report import UNANSWERED, Report, overall

if TYPE_CHECKING:
    from matplotlib.axes import Axes

PICTURE = "report.png"
MOST = 60  # classes that are drawn, the most frequent ones
INCH = 0.2  # for a class
CHINESE_FONTS = ("Noto Sans CJK SC", "Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "SimHei")


def draw(report: Report, target: Path) -> None:
    """Write the picture, PNG. Where no font has Chinese characters, such classes have their number in classes.tsv."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import font_manager, pyplot

    installed = {font.name for font in font_manager.fontManager.ttflist}
    fonts = [name for name in CHINESE_FONTS if name in installed]
    classes = [row for row in report.classes if row.expected or row.predicted]
    shown = sorted(range(len(classes)), key=lambda i: -classes[i].expected)[:MOST]
    panels = 1 + bool(classes) + (report.confusion is not None)
    height = max(3.5, INCH * max(len(shown), len(overall(report))) + 1)
    with pyplot.rc_context({"font.family": [*fonts, "DejaVu Sans"]}):
        figure, axes = pyplot.subplots(1, panels, figsize=(5 * panels, height), layout="constrained", squeeze=False)
        _metrics(axes[0, 0], report)
        if classes:
            numbers = {row.label: number for number, row in enumerate(report.classes, 1)}
            names = [_name(classes[i].label, numbers[classes[i].label], bool(fonts)) for i in shown]
            _bars(axes[0, 1], names, [classes[i].f1 or 0.0 for i in shown], "F1 by class, the most frequent first")
        if report.confusion is not None:
            _confusion(axes[0, -1], report, bool(fonts))
        figure.suptitle(f"{report.manifest.task} {report.variant}: {report.rows:,} rows, {len(report.wrong):,} wrong")
        figure.savefig(target, dpi=110)
        pyplot.close(figure)


def _name(label: str, number: int, any_letter: bool) -> str:
    """The label, or its number where the font lacks its characters."""
    text = label if any_letter or label.isascii() else f"#{number}"
    return (text if len(text) <= 24 else f"{text[:23]}…").replace("$", r"\$")


def _metrics(axis: Axes, report: Report) -> None:
    shown = {name: metric for name, metric in overall(report).items() if name != "threshold"}
    values, errors = [m.value for m in shown.values()], [m.standard_error for m in shown.values()]
    names = [_name(name, number, False) for number, name in enumerate(shown, 1)]
    _bars(axis, names, values, "points; lines: ± 1 standard error", errors)


def _bars(
    axis: Axes, names: Sequence[str], values: Sequence[float], title: str, errors: Sequence[float] | None = None
) -> None:
    places = np.arange(len(names))
    axis.barh(places, values, xerr=errors, color="C0", ecolor="0.2", height=0.7)
    axis.set_yticks(places, names, fontsize=7)
    axis.invert_yaxis()
    axis.set_xlim(min(0, *values, 0), 100)
    axis.set_title(title, fontsize=9)
    axis.grid(axis="x", alpha=0.3)


def _confusion(axis: Axes, report: Report, any_letter: bool) -> None:
    assert report.confusion is not None
    expected = report.confusion.sum(axis=1)
    shown = np.sort(np.argsort(-expected, kind="stable")[:MOST])
    names = [_name(report.label_names[i], int(i) + 1, any_letter) for i in shown]
    columns = [*shown.tolist(), len(expected)] if report.confusion[:, -1].any() else shown.tolist()
    shares = report.confusion[shown] / np.maximum(expected[shown, None], 1)
    axis.imshow(shares[:, columns], cmap="Blues", vmin=0, vmax=1, aspect="auto")
    axis.set_yticks(range(len(names)), names, fontsize=6)
    axis.set_xticks(range(len(columns)), [*names, UNANSWERED][: len(columns)], fontsize=6, rotation=90)
    axis.set_title("share of the expected class (row) by prediction (column)", fontsize=9)
