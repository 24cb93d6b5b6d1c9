"""What a run says: medians over its rounds, curves of each variant, and the questions people ask of them."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..sweep.records import Run, kept_up

"""A request rate is kept up where so much of it is answered, less what chance sends: below, the queue grows as long as
the load lasts."""
FIGURES = ("throughput", "p50_ms", "p90_ms", "p95_ms", "p99_ms", "avg_ms")


@dataclass(frozen=True)
class Point:
    """A variant under one load: medians over the rounds; failed: in any round the measurement did."""

    mode: str
    value: float
    rounds: tuple[Mapping[str, Any], ...]  # the records without an error
    failed: str = ""  # why, of the last one

    def median(self, name: str) -> float:
        """Of a figure over the rounds."""
        return statistics.median(record[name] for record in self.rounds)

    @property
    def throughput(self) -> float:
        """Texts a second."""
        return self.median("throughput")

    @property
    def sustained(self) -> bool:
        """Whether the server keeps up; a closed loop waits for it."""
        return not self.failed and all(kept_up(record) for record in self.rounds)

    @property
    def label(self) -> str:
        """For tables."""
        return f"concurrency {self.value:g}" if self.mode == "concurrency" else f"{self.value:g}/s, Poisson"

    def stages(self) -> list[dict[str, Any]]:
        """Medians of each step's figures, in the order of the pipeline."""
        first = self.rounds[0].get("stages", [])
        found = []
        for i, stage in enumerate(first):
            rows = [record["stages"][i] for record in self.rounds if len(record.get("stages", [])) == len(first)]
            numbers = [name for name in stage if name != "model"]
            found.append({"model": stage["model"], **{n: statistics.median(row[n] for row in rows) for n in numbers}})
        return found

    def cpu_per_text(self) -> dict[str, float]:
        """Role -> CPU milliseconds a text, medians; `client` is perf_analyzer. Empty for a server elsewhere."""
        rows = []
        for record in self.rounds:
            # perf_analyzer warms up and ends outside its windows: the statistics count every text it sent.
            texts = record["stages"][-1]["inferences"] if record.get("stages") else 0
            if texts and "processes" in record:
                row = {role: 1000 * used["cpu_s"] / texts for role, used in record["processes"].items()}
                rows.append({**row, "client": 1000 * record["client_cpu_s"] / texts})
        return {role: statistics.median(row.get(role, 0.0) for row in rows) for role in (rows[0] if rows else ())}

    def memory(self) -> dict[str, int]:
        """Role -> resident bytes, the largest seen."""
        found: dict[str, int] = {}
        for record in self.rounds:
            for role, used in record.get("processes", {}).items():
                found[role] = max(found.get(role, 0), used["rss"])
        return found

    def padding_waste(self) -> float | None:
        """Padding tokens by real tokens, over all rounds; None where the server has no such metrics."""
        rows = [record["padding"] for record in self.rounds if record.get("padding")]
        real = sum(row.get("real_tokens", 0) for row in rows)
        return sum(row.get("padding_tokens", 0) for row in rows) / real if real else None


@dataclass(frozen=True)
class Limit:
    """The bare encoder's best: texts a second at a batch size."""

    throughput: float
    batch: int


@dataclass(frozen=True)
class Curve:
    """All that was measured of a variant."""

    task: str
    variant: str
    points: tuple[Point, ...]
    engine: Mapping[tuple[str, int], tuple[Mapping[str, Any], ...]]  # (order, batch) -> a record a round
    about: Mapping[str, Any]  # the variant's entry in run.json

    def served(self) -> list[Point]:
        """The points that have figures."""
        return [point for point in self.points if point.rounds]

    def of_mode(self, mode: str) -> list[Point]:
        """Points with figures of one mode, by value."""
        return sorted((p for p in self.served() if p.mode == mode), key=lambda p: p.value)

    def best(self) -> Point | None:
        """The most texts a second that were kept up."""
        return max((p for p in self.served() if p.sustained), key=lambda p: p.throughput, default=None)

    def limit(self, order: str) -> Limit | None:
        """The bare encoder at its best batch size; order: `file` or `length`."""
        rates = {
            batch: statistics.median(record["throughput"] for record in rows)
            for (name, batch), rows in self.engine.items()
            if name == order
        }
        return max((Limit(rate, batch) for batch, rate in rates.items()), key=lambda x: x.throughput, default=None)

    def share(self, point: Point, order: str) -> float | None:
        """The point's throughput by the engine's best in the same round, median over the rounds that have both."""
        best: dict[int, float] = {}
        for (name, _), rows in self.engine.items():
            for record in rows if name == order else ():
                best[record["round"]] = max(best.get(record["round"], 0.0), record["throughput"])
        shares = [r["throughput"] / best[r["round"]] for r in point.rounds if r["round"] in best]
        return statistics.median(shares) if shares else None

    def largest_rate(self, p99_ms: float) -> Point | None:
        """The most texts a second that were kept up with p99 at most so long.

        Of the open loop where it was measured: that is how users arrive. Else of the closed loop, which flatters: it
        stops asking while the server is slow.
        """
        points = self.of_mode("rate") or self.of_mode("concurrency")
        fit = [point for point in points if point.sustained and point.median("p99_ms") <= p99_ms]
        return max(fit, key=lambda p: p.throughput, default=None)


def curves(run: Run) -> list[Curve]:
    """Every variant's curve, in the order of run.json."""
    found = []
    for task, about in run.about["tasks"].items():
        for variant, details in about["variants"].items():
            mine = [r for r in run.records if (r["task"], r["variant"]) == (task, variant)]
            found.append(Curve(task, variant, tuple(_points(mine)), _engine(mine), details))
    return found


def _points(records: Sequence[Mapping[str, Any]]) -> list[Point]:
    groups: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for record in records:
        if record["mode"] != "engine" and not record.get("skipped"):
            groups.setdefault((record["mode"], float(record["value"])), []).append(record)
    points = []
    for (mode, value), rows in sorted(groups.items()):
        good = tuple(sorted((row for row in rows if not row.get("error")), key=lambda row: row["round"]))
        faults = [str(row["error"]) for row in rows if row.get("error")]
        points.append(Point(mode, value, good, faults[-1] if faults else ""))
    return points


def _engine(records: Sequence[Mapping[str, Any]]) -> dict[tuple[str, int], tuple[Mapping[str, Any], ...]]:
    groups: dict[tuple[str, int], list[Mapping[str, Any]]] = {}
    for record in records:
        if record["mode"] == "engine" and not record.get("error"):
            groups.setdefault((record["order"], int(record["value"])), []).append(record)
    return {key: tuple(rows) for key, rows in groups.items()}
