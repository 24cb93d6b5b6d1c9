"""The tables of a report."""

from __future__ import annotations

from collections.abc import Sequence

from ernie_runtime.names import encoder_model, variant_ensemble

from ..processes import SERVER
from ..sweep.engine import FILE_ORDER, LENGTH_ORDER, ORDERS
from ..sweep.settings import CONCURRENCY, RATE
from .curves import CLIENT, Curve, Point
from .page import Table
from .plots import ENCODER, TOKENIZER, stage_of

NONE = "-"
OTHERS = "others, idle"  # models of other variants and tasks


def side_by_side(curves: Sequence[Curve], metric: str) -> Table | None:
    """One row per variant: accuracy, size and speed; ratios to the first variant."""
    shown = [curve for curve in curves if curve.served()]
    if not shown:
        return None
    head = ["variant", "precision", "engine", metric, "points lost", "file MB", "encoder MB"]
    rows = [[*head, "p50 alone, ms", "p99 alone, ms", "best texts/s", "at", "p99, ms", f"x {shown[0].variant}"]]
    base = shown[0].best()
    for curve in shown:
        about, best = curve.description, curve.best()
        alone = next((p for p in curve.of_mode(CONCURRENCY) if p.value == 1), None)
        row = [curve.variant, about.precision, about.engine, _two_decimals(about.figure), _two_decimals(about.drop)]
        row += [f"{about.bytes / 1e6:.1f}", _encoder_memory(curve)]
        row += [f"{alone.p50_ms:.1f}", f"{alone.p99_ms:.1f}"] if alone else [NONE] * 2
        if best is None:
            row += [NONE] * 4
        else:
            row += [f"{best.throughput:.0f}", best.label, f"{best.p99_ms:.1f}"]
            row.append(f"{best.throughput / base.throughput:.2f}" if base else NONE)
        rows.append(row)
    return Table(rows)


def largest_rates(curves: Sequence[Curve], limits: Sequence[float]) -> Table | None:
    """Texts/s with p99 under each limit, one row per variant."""
    shown = [curve for curve in curves if curve.served()]
    if not shown:
        return None
    rows = [["variant", "load", *(f"p99 under {limit:g} ms" for limit in limits)]]
    for curve in shown:
        row = [curve.variant, "open loop" if curve.of_mode(RATE) else "closed loop"]
        for limit in limits:
            point = curve.largest_rate(limit)
            row.append(NONE if point is None else f"{point.throughput:.0f} texts/s ({point.label})")
        rows.append(row)
    return Table(rows)


def loads(curves: Sequence[Curve]) -> Table | None:
    """Every point: one row per variant and load; shares of the bare engine where that was measured."""
    shown = [(curve, point) for curve in curves for point in curve.points]
    if not any(point.rounds for _, point in shown):
        return None
    has_engine = any(curve.engine for curve in curves)
    head = ["variant, load", "texts/s", "p50", "p90", "p95", "p99 ms", "texts per execution", "padding"]
    rows = [[*head, *(["of the engine in order", "of the engine sorted"] if has_engine else [])]]
    for curve, point in shown:
        row = [f"{curve.variant}, {point.label}"]
        if not point.rounds:
            rows.append([*row, "failed", *[NONE] * (len(rows[0]) - 2)])
            continue
        remark = "" if point.sustained else " (failed)" if point.error else " (not sustained)"
        row += [f"{point.throughput:.0f}{remark}"]
        row += [f"{latency:.1f}" for latency in (point.p50_ms, point.p90_ms, point.p95_ms, point.p99_ms)]
        row += [_batch(curve, point), _percent(point.padding_waste())]
        rows.append(row + ([_percent(curve.share(point, order)) for order in ORDERS] if has_engine else []))
    return Table(rows)


def engine(curves: Sequence[Curve]) -> Table | None:
    """The bare encoder by batch size, texts in order and sorted by length."""
    shown = [curve for curve in curves if curve.engine]
    if not shown:
        return None
    batches = sorted({batch for curve in shown for _, batch in curve.engine})
    rows = [["variant, texts", *(f"batch {batch}" for batch in batches), "best"]]
    for curve in shown:
        for order, name in ((FILE_ORDER, "in order"), (LENGTH_ORDER, "sorted")):
            best = curve.engine_best(order)
            if best is None:
                continue
            rates = [curve.engine_throughput(order, batch) for batch in batches]
            cells = [f"{rate:.0f}" if rate is not None else NONE for rate in rates]
            rows.append([f"{curve.variant}, {name}", *cells, f"{best.throughput:.0f} at {best.batch}"])
    return Table(rows)


def cpu(curves: Sequence[Curve]) -> Table | None:
    """CPU milliseconds per text by process; None for a server whose processes cannot be seen."""
    shown = [(c, p, used) for c in curves for p in c.served() if (used := p.cpu_ms_per_text())]
    if not shown:
        return None
    rows = []
    for curve, point, used in shown:
        columns: dict[str, float] = {}
        for role, cpu_ms in used.items():
            column = _column(role, curve)
            columns[column] = columns.get(column, 0.0) + cpu_ms
        rows.append((curve, point, columns))
    last = (OTHERS, CLIENT)
    names = list(dict.fromkeys(name for _, _, columns in rows for name in columns if name not in last))
    names += [name for name in last if any(name in columns for _, _, columns in rows)]
    table = [["variant, load", *names, "server in all", "tokenizer's share"]]
    for curve, point, columns in rows:
        server = sum(cpu_ms for name, cpu_ms in columns.items() if name != CLIENT)
        part = _percent(columns[TOKENIZER] / server) if server and TOKENIZER in columns else NONE
        cells = [f"{columns[name]:.2f}" if name in columns else NONE for name in names]
        table.append([f"{curve.variant}, {point.label}", *cells, f"{server:.2f}", part])
    return Table(table)


def failures(curves: Sequence[Curve]) -> Table | None:
    """What failed, and why."""
    failed = [(curve, point) for curve in curves for point in curve.points if point.error]
    rows = [
        [f"{variant_ensemble(curve.task, curve.variant)}, {point.label}", point.error[:300]] for curve, point in failed
    ]
    return Table([["measurement", "why it failed"], *rows]) if rows else None


def _column(role: str, curve: Curve) -> str:
    """The column of a process; one for all models of other variants and tasks, which are idle."""
    if role in (CLIENT, SERVER):
        return role
    models = {stage.model for point in curve.served() for stage in point.stages()}
    return stage_of(role, curve.task) if role in models else OTHERS


def _encoder_memory(curve: Curve) -> str:
    sizes = [
        size
        for point in curve.served()
        for role, size in point.memory().items()
        if role == encoder_model(curve.task, curve.variant)
    ]
    return f"{max(sizes) / 1e6:.0f}" if sizes else NONE


def _batch(curve: Curve, point: Point) -> str:
    batches = [stage.batch for stage in point.stages() if stage_of(stage.model, curve.task) == ENCODER]
    return f"{batches[0]:.1f}" if batches else NONE


def _percent(value: float | None) -> str:
    return NONE if value is None else f"{100 * value:.0f}%"


def _two_decimals(value: float | None) -> str:
    return NONE if value is None else f"{value:.2f}"
