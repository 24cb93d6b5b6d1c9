"""The tables of a report."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from ernie_runtime.names import encoder_model

from .curves import Curve, Point
from .page import Table
from .plots import stage_of

NONE = "-"


def side_by_side(curves: Sequence[Curve], metric: str) -> Table | None:
    """A row a variant: how good, how large, how fast; ratios to the first variant."""
    shown = [curve for curve in curves if curve.served()]
    if not shown:
        return None
    head = ["variant", "precision", "engine", metric, "points lost", "file MB", "encoder MB"]
    rows = [[*head, "p50 alone, ms", "p99 alone, ms", "best texts/s", "at", "p99, ms", f"x {shown[0].variant}"]]
    base = shown[0].best()
    for curve in shown:
        about, best = curve.about, curve.best()
        alone = next((p for p in curve.of_mode("concurrency") if p.value == 1), None)
        row = [
            curve.variant,
            about["precision"],
            about["engine"],
            _number(about["figure"], 2),
            _number(about["drop"], 2),
        ]
        row += [f"{about['bytes'] / 1e6:.1f}", _encoder_memory(curve)]
        row += [f"{alone.median('p50_ms'):.1f}", f"{alone.median('p99_ms'):.1f}"] if alone else [NONE] * 2
        if best is None:
            row += [NONE] * 4
        else:
            row += [f"{best.throughput:.0f}", best.label, f"{best.median('p99_ms'):.1f}"]
            row.append(f"{best.throughput / base.throughput:.2f}" if base else NONE)
        rows.append(row)
    return Table(rows)


def largest_rates(curves: Sequence[Curve], limits: Sequence[float]) -> Table | None:
    """The answer people come for: texts a second with p99 under each limit, a row a variant."""
    shown = [curve for curve in curves if curve.served()]
    if not shown:
        return None
    rows = [["variant", "asked by", *(f"p99 under {limit:g} ms" for limit in limits)]]
    for curve in shown:
        row = [curve.variant, "open loop" if curve.of_mode("rate") else "closed loop"]
        for limit in limits:
            point = curve.largest_rate(limit)
            row.append(NONE if point is None else f"{point.throughput:.0f} texts/s ({point.label})")
        rows.append(row)
    return Table(rows)


def loads(curves: Sequence[Curve]) -> Table | None:
    """Every point: a row a variant and load; shares of the bare engine where that was measured."""
    shown = [(curve, point) for curve in curves for point in curve.points]
    if not any(point.rounds for _, point in shown):
        return None
    bare = any(curve.engine for curve in curves)
    head = ["variant, load", "texts/s", "p50", "p90", "p95", "p99 ms", "texts an execution", "padding"]
    rows = [[*head, *(["of the engine in order", "of the engine sorted"] if bare else [])]]
    for curve, point in shown:
        row = [f"{curve.variant}, {point.label}"]
        if not point.rounds:
            rows.append([*row, "failed", *[NONE] * (len(rows[0]) - 2)])
            continue
        fault = "" if point.sustained else " (failed)" if point.failed else " (not kept up)"
        row += [f"{point.throughput:.0f}{fault}"]
        row += [f"{point.median(name):.1f}" for name in ("p50_ms", "p90_ms", "p95_ms", "p99_ms")]
        row += [_batch(curve, point), _percent(point.padding_waste())]
        rows.append(row + ([_percent(curve.share(point, order)) for order in ("file", "length")] if bare else []))
    return Table(rows)


def engine(curves: Sequence[Curve]) -> Table | None:
    """The bare encoder by batch size, texts in order and sorted by length."""
    shown = [curve for curve in curves if curve.engine]
    if not shown:
        return None
    batches = sorted({batch for curve in shown for _, batch in curve.engine})
    rows = [["variant, texts", *(f"batch {batch}" for batch in batches), "best"]]
    for curve in shown:
        for order, name in (("file", "in order"), ("length", "sorted")):
            best = curve.limit(order)
            if best is None:
                continue
            cells = []
            for batch in batches:
                rates = [r["throughput"] for r in curve.engine.get((order, batch), ())]
                cells.append(f"{statistics.median(rates):.0f}" if rates else NONE)
            rows.append([f"{curve.variant}, {name}", *cells, f"{best.throughput:.0f} at {best.batch}"])
    return Table(rows)


def cpu(curves: Sequence[Curve]) -> Table | None:
    """CPU milliseconds a text by process; empty for a server whose processes cannot be seen."""
    shown = [(c, p, used) for c in curves for p in c.served() if (used := p.cpu_per_text())]
    if not shown:
        return None
    rows = []
    for curve, point, used in shown:
        mine: dict[str, float] = {}
        for role, value in used.items():
            name = _role(role, curve)
            mine[name] = mine.get(name, 0.0) + value
        rows.append((curve, point, mine))
    last = ("others, idle", "client")
    roles = list(dict.fromkeys(role for _, _, mine in rows for role in mine if role not in last))
    roles += [role for role in last if any(role in mine for _, _, mine in rows)]
    table = [["variant, load", *roles, "server in all", "tokenizer's part"]]
    for curve, point, mine in rows:
        server = sum(value for role, value in mine.items() if role != "client")
        part = _percent(mine["tokenizer"] / server) if server and "tokenizer" in mine else NONE
        cells = [f"{mine[role]:.2f}" if role in mine else NONE for role in roles]
        table.append([f"{curve.variant}, {point.label}", *cells, f"{server:.2f}", part])
    return Table(table)


def faults(curves: Sequence[Curve]) -> Table | None:
    """What failed, and why."""
    failed = [(curve, point) for curve in curves for point in curve.points if point.failed]
    rows = [[f"{curve.task}_{curve.variant}, {point.label}", point.failed[:300]] for curve, point in failed]
    return Table([["measurement", "why it failed"], *rows]) if rows else None


def _role(role: str, curve: Curve) -> str:
    """Models of other variants and tasks idle beside: one column for all of them."""
    if role in ("client", "tritonserver"):
        return role
    name = stage_of(role, curve.task)
    own = {stage["model"] for point in curve.served() for stage in point.stages()}
    return name if role in own else "others, idle"


def _encoder_memory(curve: Curve) -> str:
    sizes = [
        size
        for point in curve.served()
        for role, size in point.memory().items()
        if role == encoder_model(curve.task, curve.variant)
    ]
    return f"{max(sizes) / 1e6:.0f}" if sizes else NONE


def _batch(curve: Curve, point: Point) -> str:
    encoders = [s["batch"] for s in point.stages() if stage_of(s["model"], curve.task) == "encoder"]
    return f"{encoders[0]:.1f}" if encoders else NONE


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f}%"


def _number(value: float | None, digits: int) -> str:
    return NONE if value is None else f"{value:.{digits}f}"
