"""The figures of a run as JSON: what the tables of the report show."""

from __future__ import annotations

from collections.abc import Sequence

from ernie_runtime.json_types import JsonObject

from ..sweep.run import Run
from .curves import Curve, Point, curves_of


def run_figures(run: Run, p99_limits_ms: Sequence[float]) -> JsonObject:
    """By task: its metric, and by variant its accuracy, its size and every load. Medians of the rounds."""
    curves = [curve for curve in curves_of(run) if not curve.is_empty]
    return {
        task: {
            "title": description.title,
            "metric": description.metric,
            "recommended": description.recommended,
            "variants": {curve.variant: _variant(curve, p99_limits_ms) for curve in curves if curve.task == task},
        }
        for task, description in run.description.tasks.items()
    }


def _variant(curve: Curve, p99_limits_ms: Sequence[float]) -> JsonObject:
    about, largest = curve.description, {limit: curve.largest_rate(limit) for limit in p99_limits_ms}
    return {
        "figure": about.figure,
        "drop": about.drop,
        "bytes": about.bytes,
        "engine": about.engine,
        "loads": [_load(point) for point in curve.points],
        "largest_rate": {f"{limit:g}": point.throughput if point else None for limit, point in largest.items()},
        "bare_engine": [
            {"order": order, "batch": batch, "throughput": curve.engine_throughput(order, batch)}
            for order, batch in curve.engine
        ],
    }


def _load(point: Point) -> JsonObject:
    """Throughput in texts/s, latencies in ms; without them where every round failed."""
    load: JsonObject = {"mode": point.mode, "value": point.value, "error": point.error}
    if point.rounds:
        load |= {"throughput": point.throughput, "sustained": point.sustained, "p50_ms": point.p50_ms}
        load |= {"p90_ms": point.p90_ms, "p95_ms": point.p95_ms, "p99_ms": point.p99_ms}
        load["padding"] = point.padding_waste()
    return load
