"""`ernie-triton perf compare A B`: is run B slower than run A, by more than their rounds differ among themselves?"""

from __future__ import annotations

import argparse
import math
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..errors import PerfError, RunError
from ..sweep.noise import Noise, pooled
from ..sweep.records import Run
from .curves import Curve, Point, curves

HIGHER, LOWER = 1, -1
FIGURES = {"concurrency": {"throughput": HIGHER, "p99_ms": LOWER}, "rate": {"p50_ms": LOWER, "p99_ms": LOWER}}
BLIND = 0.75  # a relative loss that one should see; with more noise a comparison says nothing
UNITS = {"throughput": "texts/s", "p50_ms": "ms p50", "p99_ms": "ms p99"}

Key = tuple[str, str, str, str]  # task, variant, load, figure
Rows = dict[Key, tuple[list[float], list[float], int]]  # the rounds of A, those of B, and which way is better


@dataclass(frozen=True)
class Change:
    """One figure of one cell in both runs; `change` is relative, above 0 where B is better."""

    key: Key
    before: float
    after: float
    change: float
    margin: float  # a loss below it may be chance
    real: bool

    def line(self) -> str:
        """For people."""
        task, variant, load, figure = self.key
        word = "LOSS" if self.real else "gain" if self.change > self.margin else "same"
        return (
            f"{word}  {task}_{variant}, {load}: {self.before:.1f} -> {self.after:.1f} {UNITS[figure]} "
            f"({100 * self.change:+.1f}%, noise {100 * self.margin:.1f}%)"
        )


@dataclass(frozen=True)
class Comparison:
    """changes: of all cells that both runs have; broken: cells that fail now; remarks: what was not compared."""

    changes: tuple[Change, ...]
    broken: tuple[str, ...]
    remarks: tuple[str, ...]

    @property
    def lost(self) -> bool:
        """Whether B is really worse."""
        return bool(self.broken) or any(change.real for change in self.changes)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="ernie-triton perf compare", description=__doc__)
    p.add_argument("before", type=Path, metavar="A", help="folder of a sweep")
    p.add_argument("after", type=Path, metavar="B", help="folder of a later sweep, on the same machine")
    p.add_argument("--least", type=float, default=3.0, help="a loss of fewer per cent does not matter (default 3)")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 no loss, 1 a real loss, 2 usage or runs that cannot be compared."""
    args = parser().parse_args(argv)
    try:
        found = compare(Run.load(args.before), Run.load(args.after), args.least / 100)
    except PerfError as error:
        sys.stderr.write(f"ernie-triton perf compare: {error}\n")
        return 2
    lines = [change.line() for change in sorted(found.changes, key=lambda c: (not c.real, c.key))]
    lines += [f"LOSS  {line}" for line in found.broken] + [f"note  {line}" for line in found.remarks]
    losses = sum(change.real for change in found.changes) + len(found.broken)
    lines.append(f"{losses} real losses among {len(found.changes) + len(found.broken)} figures")
    sys.stdout.write("\n".join(lines) + "\n")
    return 1 if found.lost else 0


def compare(before: Run, after: Run, least: float) -> Comparison:
    """Every figure of every cell that both have. Errors: RunError where no cell was repeated, or none is in both."""
    each = [run.about["settings"].get("request_texts", 1) for run in (before, after)]
    if each[0] != each[1]:
        raise RunError(f"the runs sent {each[0]} and {each[1]} texts a request; measure both with one --request-texts")
    remarks = _differences(before, after)
    first, second = ({(c.task, c.variant): c for c in curves(run)} for run in (before, after))
    rows: Rows = {}
    broken: list[str] = []
    for name, ours in first.items():
        theirs = second.get(name)
        if theirs is None:
            remarks.append(f"{'_'.join(name)} is not in {after.folder}")
            continue
        texts = [run.about["tasks"][name[0]]["texts"]["sha256"] for run in (before, after)]
        if texts[0] != texts[1]:
            raise RunError(f"task {name[0]}: the runs sent other texts; measure both with the same --texts and --limit")
        _pair(ours, theirs, rows, broken, remarks)
        _pair_engines(ours, theirs, rows)
    if not rows and not broken:
        raise RunError(f"{before.folder} and {after.folder} have no measurement in common")
    noises = _noises(rows)
    changes = []
    for key, (a, b, better) in rows.items():
        noise = noises[key[2:]]
        if noise is None:
            raise RunError(f"{key[2]} was measured once in each run: noise is unknown; sweep with --rounds 3 or more")
        change = math.exp(better * (_log_mean(b) - _log_mean(a))) - 1
        margin = noise.margin(len(a), len(b), len(rows))
        if margin > BLIND:
            raise RunError(
                f"{key[2]}: noise is {100 * margin:.0f}%, known from {noise.freedom} repeated "
                f"measurement{'s' * (noise.freedom > 1)}: no loss could be seen; sweep with --rounds 3 or more"
            )
        changes.append(
            Change(key, statistics.median(a), statistics.median(b), change, margin, -change > max(margin, least))
        )
    return Comparison(tuple(changes), tuple(broken), tuple(remarks))


def _differences(before: Run, after: Run) -> list[str]:
    """What makes two runs hard to compare."""
    found = []
    for name in ("cpu", "threads", "gpus"):
        ours, theirs = before.about["machine"][name], after.about["machine"][name]
        if ours != theirs:
            found.append(f"other machines: {name} {ours} and {theirs}")
    if before.about["settings"]["seconds"] != after.about["settings"]["seconds"]:
        found.append("measurements of other lengths: the noise is taken from both")
    return found


def _pair(ours: Curve, theirs: Curve, rows: Rows, broken: list[str], remarks: list[str]) -> None:
    others = {(p.mode, p.value): p for p in theirs.points}
    for point in ours.served():
        other = others.get((point.mode, point.value))
        where = f"{ours.task}_{ours.variant}, {point.label}"
        if other is None:
            remarks.append(f"{where}: only in the first run")
        elif other.failed and not point.failed:
            broken.append(f"{where}: fails now: {other.failed[:200]}")
        elif point.sustained and not other.sustained:
            broken.append(f"{where}: not kept up any more, {other.throughput:.0f} texts/s")
        elif other.rounds:
            for figure, better in FIGURES[point.mode].items():
                key = (ours.task, ours.variant, point.label, figure)
                rows[key] = (_values(point, figure), _values(other, figure), better)


def _pair_engines(ours: Curve, theirs: Curve, rows: Rows) -> None:
    """The bare encoder, at the batch size that is best in the first run: was it the machine or the service?"""
    for order in ("file", "length"):
        best = ours.limit(order)
        if best is not None and (order, best.batch) in theirs.engine:
            key = (ours.task, ours.variant, f"bare engine, batch {best.batch}, by {order}", "throughput")
            a, b = ([r["throughput"] for r in c.engine[order, best.batch]] for c in (ours, theirs))
            rows[key] = (a, b, HIGHER)


def _noises(rows: Rows) -> dict[tuple[str, str], Noise | None]:
    """(load, figure) -> noise, pooled over tasks, variants and both runs: a few rounds of one cell say little."""
    groups: dict[tuple[str, str], list[Sequence[float]]] = {}
    for key, (a, b, _) in rows.items():
        groups.setdefault((key[2], key[3]), []).extend([a, b])
    return {key: pooled(values) for key, values in groups.items()}


def _values(point: Point, figure: str) -> list[float]:
    return [float(record[figure]) for record in point.rounds]


def _log_mean(values: Sequence[float]) -> float:
    return statistics.fmean(math.log(value) for value in values)


if __name__ == "__main__":
    sys.exit(main())
