"""What a run shows: medians over its rounds, one curve per variant, and what can be read off a curve."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace

from ernie_runtime.names import variant_ensemble

from ..sweep.description import VariantDescription
from ..sweep.records import EngineRecord, LoadFigures, Record, ServedRecord, Stage, is_sustained
from ..sweep.run import Run
from ..sweep.settings import CONCURRENCY, RATE

CLIENT = "client"  # the role of perf_analyzer among the processes
STAGE_NUMBERS = tuple(f.name for f in fields(Stage) if f.name != "model")


@dataclass(frozen=True, kw_only=True)
class Point:
    """A variant under one load. Figures are medians over the rounds."""

    mode: str
    value: float  # requests in flight, or requests/s
    rounds: tuple[ServedRecord, ...]  # without the failed ones
    error: str = ""  # of the last round that failed; empty: none did

    def median(self, figure: Callable[[LoadFigures], float]) -> float:
        """Median of a figure over the rounds."""
        return statistics.median(figure(record.figures) for record in self.rounds if record.figures is not None)

    @property
    def throughput(self) -> float:
        """Texts/s."""
        return self.median(lambda figures: figures.throughput)

    @property
    def avg_ms(self) -> float:
        """Mean latency."""
        return self.median(lambda figures: figures.avg_ms)

    @property
    def p50_ms(self) -> float:
        """Median latency."""
        return self.median(lambda figures: figures.p50_ms)

    @property
    def p90_ms(self) -> float:
        """Latency that 90% of the requests keep."""
        return self.median(lambda figures: figures.p90_ms)

    @property
    def p95_ms(self) -> float:
        """Latency that 95% of the requests keep."""
        return self.median(lambda figures: figures.p95_ms)

    @property
    def p99_ms(self) -> float:
        """Latency that 99% of the requests keep."""
        return self.median(lambda figures: figures.p99_ms)

    @property
    def sustained(self) -> bool:
        """Whether the server keeps up with the load in every round; it does with every closed loop."""
        return not self.error and all(is_sustained(record) for record in self.rounds)

    @property
    def label(self) -> str:
        """For tables."""
        return f"concurrency {self.value:g}" if self.mode == CONCURRENCY else f"{self.value:g}/s, Poisson"

    def stages(self) -> list[Stage]:
        """Medians of each step's figures, in the order of the ensemble."""
        first = self.rounds[0].stages
        complete = [record.stages for record in self.rounds if len(record.stages) == len(first)]
        return [_median_stage([stages[i] for stages in complete]) for i in range(len(first))]

    def cpu_ms_per_text(self) -> dict[str, float]:
        """Role -> CPU milliseconds per text; `client` is perf_analyzer. Empty for a server elsewhere."""
        rows = []
        for record in self.rounds:
            # perf_analyzer warms up and ends outside its windows: the statistics count every text it sent.
            texts = record.stages[-1].inferences if record.stages else 0
            if texts and record.processes is not None and record.figures is not None:
                row = {role: 1000 * used.cpu_s / texts for role, used in record.processes.items()}
                rows.append({**row, CLIENT: 1000 * record.figures.client_cpu_s / texts})
        return {role: statistics.median(row.get(role, 0.0) for row in rows) for role in (rows[0] if rows else ())}

    def memory(self) -> dict[str, int]:
        """Role -> resident bytes, the largest of all rounds."""
        sizes: dict[str, int] = {}
        for record in self.rounds:
            for role, used in (record.processes or {}).items():
                sizes[role] = max(sizes.get(role, 0), used.rss)
        return sizes

    def padding_waste(self) -> float | None:
        """Padding tokens per real token, over all rounds; None where the server has no such metrics."""
        readings = [record.padding for record in self.rounds if record.padding is not None]
        real_tokens = sum(reading.real_tokens for reading in readings)
        return sum(reading.padding_tokens for reading in readings) / real_tokens if real_tokens else None


def _median_stage(rounds: Sequence[Stage]) -> Stage:
    rows = [asdict(stage) for stage in rounds]
    return Stage(
        model=rounds[0].model, **{name: statistics.median(row[name] for row in rows) for name in STAGE_NUMBERS}
    )


@dataclass(frozen=True)
class EngineBest:
    """The bare encoder at its best batch size."""

    throughput: float  # texts/s
    batch: int


@dataclass(frozen=True, kw_only=True)
class Curve:
    """All that was measured of a variant."""

    task: str
    variant: str
    points: tuple[Point, ...]
    engine: Mapping[tuple[str, int], tuple[EngineRecord, ...]]  # (order, batch) -> one record a round
    description: VariantDescription

    @property
    def is_empty(self) -> bool:
        """Whether nothing was measured, or tried."""
        return not self.points and not self.engine

    def served(self) -> list[Point]:
        """The points that have figures."""
        return [point for point in self.points if point.rounds]

    def of_mode(self, mode: str) -> list[Point]:
        """Points with figures of one mode, by value."""
        return sorted((p for p in self.served() if p.mode == mode), key=lambda p: p.value)

    def best(self) -> Point | None:
        """The sustained point with the most texts/s."""
        return max((p for p in self.served() if p.sustained), key=lambda p: p.throughput, default=None)

    def engine_throughput(self, order: str, batch: int) -> float | None:
        """Texts/s of the bare encoder, median over the rounds; None where that was not measured."""
        records = self.engine.get((order, batch), ())
        return statistics.median(record.throughput for record in records) if records else None

    def engine_best(self, order: str) -> EngineBest | None:
        """The bare encoder at its best batch size, with texts in that order."""
        candidates = [
            EngineBest(rate, batch)
            for (other, batch) in self.engine
            if other == order and (rate := self.engine_throughput(order, batch)) is not None
        ]
        return max(candidates, key=lambda best: best.throughput, default=None)

    def share(self, point: Point, order: str) -> float | None:
        """The point's throughput over the engine's best of the same round, median over the rounds that have both."""
        best: dict[int, float] = {}
        for (other, _), records in self.engine.items():
            for record in records if other == order else ():
                number = record.cell.round
                best[number] = max(best.get(number, 0.0), record.throughput)
        shares = [
            record.figures.throughput / best[record.cell.round]
            for record in point.rounds
            if record.figures is not None and record.cell.round in best
        ]
        return statistics.median(shares) if shares else None

    def largest_rate(self, p99_ms: float) -> Point | None:
        """The sustained point with the most texts/s among those with p99 of at most `p99_ms`.

        Of the open loop where it was measured, because that is how users arrive. Else of the closed loop, which
        flatters: it stops sending while the server is slow.
        """
        points = self.of_mode(RATE) or self.of_mode(CONCURRENCY)
        within = [point for point in points if point.sustained and point.p99_ms <= p99_ms]
        return max(within, key=lambda p: p.throughput, default=None)


def curves_of(run: Run) -> list[Curve]:
    """Every variant's curve, in the order of run.json."""
    curves = []
    for task, description in run.description.tasks.items():
        for name, variant in description.variants.items():
            precision = run.description.computed_in.get(variant_ensemble(task, name), variant.precision)
            records = [r for r in run.records if (r.cell.task, r.cell.variant) == (task, name)]
            curves.append(
                Curve(
                    task=task,
                    variant=name,
                    points=tuple(_points(records)),
                    engine=_engine(records),
                    description=replace(variant, precision=precision),
                )
            )
    return curves


def _points(records: Sequence[Record]) -> list[Point]:
    groups: dict[tuple[str, float], list[ServedRecord]] = {}
    for record in records:
        if isinstance(record, ServedRecord):
            groups.setdefault((record.cell.mode, record.cell.value), []).append(record)
    points = []
    for (mode, value), rows in sorted(groups.items()):
        good = sorted((row for row in rows if not row.error and row.figures), key=lambda row: row.cell.round)
        errors = [row.error for row in rows if row.error]
        points.append(Point(mode=mode, value=value, rounds=tuple(good), error=errors[-1] if errors else ""))
    return points


def _engine(records: Sequence[Record]) -> dict[tuple[str, int], tuple[EngineRecord, ...]]:
    groups: dict[tuple[str, int], list[EngineRecord]] = {}
    for record in records:
        if isinstance(record, EngineRecord):
            groups.setdefault((record.cell.order, int(record.cell.value)), []).append(record)
    return {key: tuple(rows) for key, rows in groups.items()}
