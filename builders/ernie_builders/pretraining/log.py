"""The log of a run, one JSON object a row, and its picture."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..filesystem import write_file

LOG, PLOT = "log.jsonl", "log.svg"


def append(output: Path, row: Mapping[str, Any]) -> None:
    """One row more."""
    with (output / LOG).open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def rows(output: Path) -> list[dict[str, Any]]:
    """All rows; a last one that a kill cut off is left out."""
    path = output / LOG
    found = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            found.append(json.loads(line))
        except ValueError:
            break
    return found


def cut_back(output: Path, step: int) -> None:
    """Leave out what came behind the step that a run goes on from: it comes again."""
    kept = [row for row in rows(output) if row["step"] <= step]
    if kept or (output / LOG).exists():
        write_file(output / LOG, "".join(json.dumps(row) + "\n" for row in kept))


def plot(output: Path, title: str) -> None:
    """Write the picture: losses, accuracies and speed against steps, a line where the sequence length changes."""
    found = rows(output)
    if not found:
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
    changes = [b["step"] for a, b in pairwise(found) if a["length"] != b["length"]]
    for axis, (label, lines) in zip(axes, panels, strict=True):
        for number, (name, shown) in enumerate(lines):
            points = [(row["step"], row[name]) for row in found if row.get(name) is not None]
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
