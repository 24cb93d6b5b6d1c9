"""Accuracy against latency and against size, one dot a variant, the recommended one marked."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from ernie_runtime.manifest import Manifest

from ..errors import PublishError

FORMATS = (".svg", ".png")


def plot(manifest: Manifest, target: Path) -> None:
    """Write the picture; PublishError for another ending, or where nothing was measured."""
    if target.suffix not in FORMATS:
        raise PublishError(f"--plot {target}: expected a name that ends in {' or '.join(FORMATS)}")
    found = manifest.compared()
    points = [
        (v, found[v.name].metrics[manifest.main_metric])
        for v in (*manifest.variants, *manifest.refused)
        if v.speed and v.name in found
    ]
    if not points:
        raise PublishError(f"task {manifest.task}: nothing was measured; build it with several --variants")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    latency = [(v.speed["batch_1"]["p50_ms"], metric, v.name) for v, metric in points]
    size = [(v.bytes / 1e6, metric, v.name) for v, metric in points]
    for axis, dots, label in (
        (axes[0], latency, "p50 of one text, ms (encoder)"),
        (axes[1], size, "model file, MB"),
    ):
        axis.set_xlabel(label)
        _dots(axis, dots, manifest.recommended, {v.name for v in manifest.refused})
        if max(x for x, _, _ in dots) > 20 * min(x for x, _, _ in dots):
            axis.set_xscale("log")
        else:
            axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(f"{manifest.main_metric}, {manifest.compared_on()}")
    refused = "; crosses: refused by the gate" if manifest.refused else ""
    figure.suptitle(f"{manifest.task}: star: recommended{refused}")
    figure.savefig(target, dpi=110)
    pyplot.close(figure)


def _dots(axis: Any, dots: list[tuple[float, float, str]], recommended: str, refused: set[str]) -> None:
    wide, high = (max(values) - min(values) or 1.0 for values in ([d[0] for d in dots], [d[1] for d in dots]))
    middle = max(x for x, _, _ in dots) / 2

    def away(one: int, other: int) -> float:
        return ((dots[one][0] - dots[other][0]) / wide) ** 2 + ((dots[one][1] - dots[other][1]) / high) ** 2

    for number, (x, y, name) in enumerate(dots):
        if name == recommended:
            look: dict[str, Any] = {"s": 130, "marker": "*", "color": "C1"}
        else:
            look = {"s": 45, "marker": "x", "color": "0.5"} if name in refused else {"s": 45, "color": "C0"}
        axis.scatter([x], [y], zorder=3, **look)
        others = [other for other in range(len(dots)) if other != number]
        near = min(others, key=partial(away, number)) if others else number
        above = (y, number) >= (dots[near][1], near)  # of two dots close to each other the upper one's name is above
        side = "right" if x > middle else "left"
        shift = (-6 if side == "right" else 6, 6 if above else -13)
        axis.annotate(name, (x, y), shift, textcoords="offset points", fontsize=8, ha=side)
    axis.margins(0.08, 0.12)
