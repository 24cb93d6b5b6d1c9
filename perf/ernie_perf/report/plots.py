"""The pictures of a report, as SVG text."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ernie_runtime.names import encoder_prefix, postprocess_model, tokenizer_model

from ..sweep.settings import CONCURRENCY, RATE
from .curves import Curve, Point

if TYPE_CHECKING:
    from matplotlib.container import BarContainer
    from matplotlib.figure import Figure

TOKENIZER, ENCODER, POSTPROCESS = "tokenizer", "encoder", "postprocess"
COLORMAPS = {TOKENIZER: "Greens", ENCODER: "Blues", POSTPROCESS: "Oranges"}
OTHER_COLORMAP = "Purples"  # a step that is none of the three
SHADES = {"queue": 0.25, "input": 0.45, "infer": 0.75, "output": 0.55}  # of the colormap, by part of a step's time
WIDTH_INCHES = 8.6


def stage_of(model: str, task: str) -> str:
    """A model's part in its task: tokenizer, encoder, postprocess, or its name without the task's."""
    if model.startswith(encoder_prefix(task)):
        return ENCODER
    parts = {tokenizer_model(task): TOKENIZER, postprocess_model(task): POSTPROCESS}
    return parts.get(model, model.removeprefix(f"{task}_"))


def throughput_latency(curves: Sequence[Curve]) -> str | None:
    """p99 (full) and p50 (faint) against texts/s: one line per variant and mode, loads written beside the points."""
    shown = [curve for curve in curves if curve.served()]
    if not shown:
        return None
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(WIDTH_INCHES, 4.6), layout="constrained")
    for number, curve in enumerate(shown):
        for mode, style in ((CONCURRENCY, "-o"), (RATE, ":^")):
            points = curve.of_mode(mode)
            if not points:
                continue
            rates = [point.throughput for point in points]
            name = curve.variant if mode == CONCURRENCY else f"{curve.variant}, open loop"
            axis.plot(rates, [p.p99_ms for p in points], style, color=f"C{number}", label=name, markersize=5)
            axis.plot(rates, [p.p50_ms for p in points], style, color=f"C{number}", alpha=0.3, markersize=3)
            for point in points:
                load = f"{point.value:g}" if mode == CONCURRENCY else f"{point.value:g}/s"
                place = (point.throughput, point.p99_ms)
                axis.annotate(load, place, (5, 4), textcoords="offset points", fontsize=8, color=f"C{number}")
    axis.set_yscale("log")
    axis.yaxis.set_major_formatter(_major_label)
    axis.yaxis.set_minor_formatter(_minor_label)
    axis.set_xlim(0, 1.06 * axis.get_xlim()[1])  # room for the last point's load
    axis.set_xlabel("texts/s")
    axis.set_ylabel("latency, ms: p99 full, p50 faint")
    axis.grid(alpha=0.3, which="both")
    axis.legend(fontsize=9)
    return _svg(figure, f"latency-{curves[0].task}")


def stage_bars(curves: Sequence[Curve]) -> str | None:
    """Where a request's time goes, ms: queue, input, infer and output of each step, and the rest; one bar per load.

    Loads that were not sustained are left out: their queues are as long as the measurement.
    """
    bars = [(curve, point) for curve in curves for point in curve.served() if point.sustained and point.stages()]
    if not bars:
        return None
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(WIDTH_INCHES, 1.6 + 0.34 * len(bars)), layout="constrained")
    legend: dict[str, BarContainer] = {}
    for row, (curve, point) in enumerate(bars):
        left = 0.0
        for name, color, width in _segments(curve, point):
            bar = axis.barh(row, width, left=left, color=color, height=0.72, edgecolor="white", linewidth=0.3)
            legend.setdefault(name, bar)
            left += width
        axis.text(left, row, f" {left:.1f}", va="center", fontsize=8)
    axis.set_yticks(range(len(bars)), [f"{curve.variant}, {point.label}" for curve, point in bars], fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.08)
    axis.set_xlabel("ms per request, on average")
    axis.grid(axis="x", alpha=0.3)
    figure.legend(legend.values(), legend.keys(), loc="outside lower center", fontsize=8, ncols=4, frameon=False)
    return _svg(figure, f"stages-{curves[0].task}")


def _segments(curve: Curve, point: Point) -> list[tuple[str, Any, float]]:
    """(name, colour, ms) of each part; the rest is the client, the wire and what the ensemble adds."""
    from matplotlib import colormaps

    segments: list[tuple[str, Any, float]] = []
    for stage in point.stages():
        name = stage_of(stage.model, curve.task)
        colors = colormaps[COLORMAPS.get(name, OTHER_COLORMAP)]
        parts = {"queue": stage.queue_ns, "input": stage.input_ns, "infer": stage.infer_ns, "output": stage.output_ns}
        segments += [(f"{name}: {part}", colors(SHADES[part]), time / 1e6) for part, time in parts.items()]
    rest = point.avg_ms - sum(width for _, _, width in segments)
    return [*segments, ("ensemble, gRPC, client", "0.8", max(0.0, rest))]


def pareto(curves: Sequence[Curve], metric: str, recommended: str) -> str | None:
    """Dev figure against the best throughput, a dot a variant; the line joins those that no other beats in both."""
    dots = [
        (best.throughput, figure, curve.variant)
        for curve in curves
        if (best := curve.best()) is not None and (figure := curve.description.figure) is not None
    ]
    if len(dots) < 2:
        return None
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(WIDTH_INCHES, 3.8), layout="constrained")
    front = [dot for dot in dots if not any(o != dot and o[0] >= dot[0] and o[1] >= dot[1] for o in dots)]
    axis.plot([x for x, _, _ in sorted(front)], [y for _, y, _ in sorted(front)], "-", color="0.7", zorder=1)
    for number, (x, y, name) in enumerate(sorted(dots)):
        size, marker, color = (130, "*", "C1") if name == recommended else (45, "o", "C0")
        axis.scatter([x], [y], s=size, marker=marker, color=color, zorder=3)
        axis.annotate(name, (x, y), (6, 8 if number % 2 else -14), textcoords="offset points", fontsize=9)
    axis.set_xlim(0, 1.15 * max(x for x, _, _ in dots))
    axis.margins(y=0.25)
    axis.set_xlabel("texts/s, best load")
    axis.set_ylabel(f"{metric}, dev")
    axis.grid(alpha=0.3)
    return _svg(figure, f"pareto-{curves[0].task}")


def padding_bars(curves: Sequence[Curve]) -> str | None:
    """Padding tokens per real token, per cent; one bar per variant and load."""
    bars = [
        (f"{curve.variant}, {point.label}", 100 * waste)
        for curve in curves
        for point in curve.served()
        if (waste := point.padding_waste()) is not None
    ]
    if not bars:
        return None
    pyplot = _pyplot()
    figure, axis = pyplot.subplots(figsize=(WIDTH_INCHES, 1.0 + 0.34 * len(bars)), layout="constrained")
    axis.barh(range(len(bars)), [value for _, value in bars], color="C0", height=0.7)
    for row, (_, value) in enumerate(bars):
        axis.text(value, row, f" {value:.1f}%", va="center", fontsize=8)
    axis.set_yticks(range(len(bars)), [name for name, _ in bars], fontsize=8)
    axis.invert_yaxis()
    axis.margins(x=0.1)
    axis.set_xlabel("padding tokens per real token, %")
    axis.grid(axis="x", alpha=0.3)
    return _svg(figure, f"padding-{curves[0].task}")


def _pyplot() -> Any:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    return pyplot


def _major_label(value: float, _: object) -> str:
    return f"{value:g}"


def _minor_label(value: float, _: object) -> str:
    """Labels of a log axis between the powers of ten: 2 and 5."""
    return f"{value:g}" if f"{value:e}"[0] in "25" else ""


def _svg(figure: Figure, name: str) -> str:
    """Without prolog and date; ids depend on the name, so that one page can hold several pictures."""
    import matplotlib
    from matplotlib import pyplot

    buffer = io.StringIO()
    with matplotlib.rc_context({"svg.hashsalt": name}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    text = buffer.getvalue()
    return text[text.index("<svg") :]
