"""The plot of `ernie-triton compare`: accuracy against latency and against size, one dot per variant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from ernie_runtime.manifest import Manifest

from ..errors import PublishError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

FORMATS = (".svg", ".png")


class Dot(NamedTuple):
    """A variant in one of the two plots."""

    x: float
    y: float
    name: str


def plot(manifest: Manifest, target: Path) -> None:
    """Write the plot to `target`, .svg or .png; PublishError for another suffix, or if nothing was measured."""
    if target.suffix not in FORMATS:
        raise PublishError(f"--plot {target}: expected a name that ends in {' or '.join(FORMATS)}")
    evaluations = manifest.compared()
    measured = [
        (variant, evaluations[variant.name].metrics[manifest.main_metric])
        for variant in (*manifest.variants, *manifest.refused)
        if variant.speed and variant.name in evaluations
    ]
    if not measured:
        raise PublishError(f"task {manifest.task}: nothing was measured; build it with several --variants")
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(1, 2, figsize=(10, 4.2), layout="constrained")
    latency = [Dot(variant.speed["batch_1"]["p50_ms"], metric, variant.name) for variant, metric in measured]
    size = [Dot(variant.bytes / 1e6, metric, variant.name) for variant, metric in measured]
    for axis, dots, label in (
        (axes[0], latency, "p50 of one text, ms (encoder)"),
        (axes[1], size, "model file, MB"),
    ):
        axis.set_xlabel(label)
        _draw(axis, dots, manifest.recommended, {variant.name for variant in manifest.refused})
        if max(dot.x for dot in dots) > 20 * min(dot.x for dot in dots):
            axis.set_xscale("log")
        else:
            axis.set_xlim(left=0)
        axis.grid(alpha=0.3)
    axes[0].set_ylabel(f"{manifest.main_metric}, {manifest.compared_on()}")
    refused = "; crosses: refused by the gate" if manifest.refused else ""
    figure.suptitle(f"{manifest.task}: star: recommended{refused}")
    figure.savefig(target, dpi=110)
    pyplot.close(figure)


def _draw(axis: Axes, dots: Sequence[Dot], recommended: str, refused: Collection[str]) -> None:
    """Draw the dots with their names on a matplotlib axis; the name of the upper of two close dots stands above it."""
    width, height = (max(values) - min(values) or 1.0 for values in ([d.x for d in dots], [d.y for d in dots]))
    middle = max(dot.x for dot in dots) / 2
    for number, dot in enumerate(dots):
        if dot.name == recommended:
            style: dict[str, Any] = {"s": 130, "marker": "*", "color": "C1"}
        else:
            style = {"s": 45, "marker": "x", "color": "0.5"} if dot.name in refused else {"s": 45, "color": "C0"}
        axis.scatter([dot.x], [dot.y], zorder=3, **style)
        distances = [
            (((dot.x - other.x) / width) ** 2 + ((dot.y - other.y) / height) ** 2, place)
            for place, other in enumerate(dots)
            if place != number
        ]
        nearest = min(distances)[1] if distances else number
        above = (dot.y, number) >= (dots[nearest].y, nearest)
        side = "right" if dot.x > middle else "left"
        shift = (-6 if side == "right" else 6, 6 if above else -13)
        axis.annotate(dot.name, (dot.x, dot.y), shift, textcoords="offset points", fontsize=8, ha=side)
    axis.margins(0.08, 0.12)
