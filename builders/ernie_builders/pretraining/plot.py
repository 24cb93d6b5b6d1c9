"""The picture of a pre-training's log."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from ..training.log import LOG, read_rows

PLOT = "log.svg"


def plot(output: Path, title: str) -> None:
    """Write the picture: losses, accuracies and speed against steps, a line where the sequence length changes."""
    rows = read_rows(output / LOG)
    if not rows:
        return
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    panels = (
        ("loss of masked tokens", (("loss", "training"), ("held_loss", "held out"))),
        ("masked accuracy, %", (("accuracy", "training"), ("held_accuracy", "held out"))),
        ("tokens/s", (("tokens_per_second", ""),)),
    )
    figure, axes = pyplot.subplots(1, len(panels), figsize=(13, 3.8), layout="constrained")
    changes = [b["step"] for a, b in pairwise(rows) if a["length"] != b["length"]]
    for axis, (label, lines) in zip(axes, panels, strict=True):
        for number, (name, shown) in enumerate(lines):
            points = [(row["step"], row[name]) for row in rows if row.get(name) is not None]
            marker = "o" if number else None
            if points:
                axis.plot(*zip(*points, strict=True), label=shown, color=f"C{number}", marker=marker, markersize=3)
        for step in changes:
            axis.axvline(step, color="0.7", linestyle=":", zorder=0)
        axis.set_xlabel("step")
        axis.set_ylabel(label)
        axis.grid(alpha=0.3)
        if len(lines) > 1:
            axis.legend(fontsize=8)
    axes[-1].set_ylim(bottom=0)
    figure.suptitle(title)
    figure.savefig(output / PLOT, metadata={"Date": None})
    pyplot.close(figure)
