"""`ernie-triton perf compare A B`: is run B slower than run A, by more than their rounds differ among themselves?"""

from __future__ import annotations

import math
import statistics
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ernie_runtime.command_line import CommandLine, json_output
from ernie_runtime.json_types import JsonObject
from ernie_runtime.names import variant_ensemble

from ..command import run_command
from ..errors import RunError
from ..sweep.engine import ORDERS
from ..sweep.records import LoadFigures
from ..sweep.run import Run
from ..sweep.settings import CONCURRENCY, RATE
from .curves import Curve, Point, curves_of
from .noise import Noise, pooled_noise

BLIND = 0.75  # a relative loss that one should see; with more noise than that a comparison says nothing
HINT = "sweep with --rounds 3 or more"


@dataclass(frozen=True, kw_only=True)
class ComparedFigure:
    """A figure that is compared."""

    name: str
    unit: str
    better: int  # 1 where higher is better, -1 where lower is
    value: Callable[[LoadFigures], float]


THROUGHPUT = ComparedFigure(name="throughput", unit="texts/s", better=1, value=lambda figures: figures.throughput)
P50 = ComparedFigure(name="p50_ms", unit="ms p50", better=-1, value=lambda figures: figures.p50_ms)
P99 = ComparedFigure(name="p99_ms", unit="ms p99", better=-1, value=lambda figures: figures.p99_ms)
COMPARED = {CONCURRENCY: (THROUGHPUT, P99), RATE: (P50, P99)}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """One figure of one cell in both runs."""

    task: str
    variant: str
    load: str
    figure: ComparedFigure
    before: Sequence[float]  # one value a round
    after: Sequence[float]

    @property
    def place(self) -> str:
        """Variant and load, for people."""
        return f"{variant_ensemble(self.task, self.variant)}, {self.load}"

    @property
    def noise_group(self) -> tuple[str, str]:
        """Noise is pooled over tasks, variants and both runs: a few rounds of one cell say little about it."""
        return self.load, self.figure.name

    @property
    def change(self) -> float:
        """Relative, above 0 where `after` is better; of geometric means."""
        return math.exp(self.figure.better * (_log_mean(self.after) - _log_mean(self.before))) - 1


@dataclass(frozen=True, kw_only=True)
class Change:
    """One figure of one cell, with what it means."""

    measured: Measured
    margin: float  # a relative loss below it may be chance
    is_loss: bool

    @property
    def word(self) -> str:
        """The verdict."""
        return "LOSS" if self.is_loss else "gain" if self.measured.change > self.margin else "same"

    def to_json(self) -> JsonObject:
        """The medians of the rounds; change and noise are relative."""
        measured = self.measured
        return {
            "verdict": self.word.lower(),
            "task": measured.task,
            "variant": measured.variant,
            "load": measured.load,
            "figure": measured.figure.name,
            "before": statistics.median(measured.before),
            "after": statistics.median(measured.after),
            "change": measured.change,
            "noise": self.margin,
        }

    def line(self) -> str:
        """For people."""
        measured, change = self.measured, self.measured.change
        before, after = statistics.median(measured.before), statistics.median(measured.after)
        return (
            f"{self.word}  {measured.place}: {before:.1f} -> {after:.1f} {measured.figure.unit} "
            f"({100 * change:+.1f}%, noise {100 * self.margin:.1f}%)"
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two runs side by side."""

    changes: Sequence[Change]  # of all cells that both runs have
    broken: Sequence[str]  # cells that fail now
    remarks: Sequence[str]  # what was not compared, and why

    @property
    def losses(self) -> int:
        """How many figures are really worse."""
        return len(self.broken) + sum(change.is_loss for change in self.changes)

    def lines(self) -> list[str]:
        """For people, losses first."""
        order = sorted(
            self.changes,
            key=lambda c: (not c.is_loss, c.measured.task, c.measured.variant, c.measured.load, c.measured.figure.name),
        )
        lines = [change.line() for change in order]
        lines += [f"LOSS  {line}" for line in self.broken] + [f"note  {line}" for line in self.remarks]
        return [*lines, f"{self.losses} real losses among {len(self.changes) + len(self.broken)} figures"]


@dataclass(frozen=True, kw_only=True)
class CompareOptions:
    """What the command line asks for."""

    before: Path
    after: Path
    least: float  # a smaller relative loss does not matter
    json: bool


def parse(argv: Sequence[str] | None = None) -> CompareOptions:
    """Wrong usage exits with 2."""
    p = CommandLine(prog="ernie-triton perf compare", description=__doc__)
    p.add_argument("before", type=Path, metavar="A", help="folder of a sweep")
    p.add_argument("after", type=Path, metavar="B", help="folder of a later sweep on the same machine")
    p.add_argument(
        "--least", type=float, default=3.0, metavar="PERCENT", help="ignore losses below this percentage (default: 3)"
    )
    p.add_argument("--json", action="store_true", help="print the comparison as one object")
    args = p.parse_args(argv)
    return CompareOptions(before=args.before, after=args.after, least=args.least / 100, json=args.json)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 no loss, 1 a real loss, 2 usage or runs that cannot be compared."""
    options = parse(argv)

    def work() -> int:
        comparison = compare(Run.load(options.before), Run.load(options.after), options.least)
        sys.stdout.write("\n".join(comparison.lines()) + "\n")
        report(
            {
                "losses": comparison.losses,
                "changes": [change.to_json() for change in comparison.changes],
                "broken": comparison.broken,
                "remarks": comparison.remarks,
            }
        )
        return 1 if comparison.losses else 0

    with json_output(options.json) as report:
        return run_command("ernie-triton perf compare", work, error_code=2)


def compare(before: Run, after: Run, least: float) -> Comparison:
    """Compare every figure of every cell that both have. least: a smaller relative loss does not matter.

    Errors: RunError where no cell was repeated, none is in both runs, or the runs sent other texts.
    """
    request_texts = [run.description.settings.request_texts for run in (before, after)]
    if request_texts[0] != request_texts[1]:
        raise RunError(
            f"the runs sent {request_texts[0]} and {request_texts[1]} texts a request; measure both with the same "
            "--request-texts"
        )
    pairs = _Pairs(remarks=_differences(before, after))
    curves_after = {(curve.task, curve.variant): curve for curve in curves_of(after)}
    for curve in curves_of(before):
        other = curves_after.get((curve.task, curve.variant))
        if other is None:
            pairs.remarks.append(f"{variant_ensemble(curve.task, curve.variant)} is not in {after.folder}")
            continue
        hashes = {run.description.tasks[curve.task].texts.sha256 for run in (before, after)}
        if len(hashes) > 1:
            raise RunError(
                f"task {curve.task}: the runs sent other texts; measure both with the same --texts and --limit"
            )
        pairs.add_served(curve, other)
        pairs.add_engine(curve, other)
    if not pairs.measured and not pairs.broken:
        raise RunError(f"{before.folder} and {after.folder} have no measurement in common")
    return Comparison(changes=_changes(pairs.measured, least), broken=pairs.broken, remarks=pairs.remarks)


@dataclass(kw_only=True)
class _Pairs:
    """What both runs measured."""

    remarks: list[str]
    measured: list[Measured] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add_served(self, before: Curve, after: Curve) -> None:
        """All loads of a variant."""
        points = {(p.mode, p.value): p for p in after.points}
        for point in before.served():
            other = points.get((point.mode, point.value))
            place = f"{variant_ensemble(before.task, before.variant)}, {point.label}"
            if other is None:
                self.remarks.append(f"{place}: only in the first run")
            elif other.error and not point.error:
                self.broken.append(f"{place}: fails now: {other.error[:200]}")
            elif point.sustained and not other.sustained:
                self.broken.append(f"{place}: no longer sustained, {other.throughput:.0f} texts/s")
            elif other.rounds:
                for figure in COMPARED[point.mode]:
                    self._add(before, point.label, figure, _values(point, figure), _values(other, figure))

    def add_engine(self, before: Curve, after: Curve) -> None:
        """The bare encoder at the batch size that is best in the first run: was it the machine or the service?"""
        for order in ORDERS:
            best = before.engine_best(order)
            if best is not None and (order, best.batch) in after.engine:
                rounds = [[r.throughput for r in c.engine[order, best.batch]] for c in (before, after)]
                self._add(before, f"bare engine, batch {best.batch}, by {order}", THROUGHPUT, *rounds)

    def _add(
        self, curve: Curve, load: str, figure: ComparedFigure, before: Sequence[float], after: Sequence[float]
    ) -> None:
        self.measured.append(
            Measured(task=curve.task, variant=curve.variant, load=load, figure=figure, before=before, after=after)
        )


def _changes(pairs: Sequence[Measured], least: float) -> list[Change]:
    """Errors: RunError where noise is unknown, or so large that no loss could be seen."""
    noises = _noises(pairs)
    changes = []
    for pair in pairs:
        noise = noises[pair.noise_group]
        if noise is None:
            raise RunError(f"{pair.load} was measured once in each run: noise is unknown; {HINT}")
        margin = noise.margin(len(pair.before), len(pair.after), len(pairs))
        if margin > BLIND:
            raise RunError(
                f"{pair.load}: noise is {100 * margin:.0f}%, known from {noise.freedom} repeated "
                f"measurement{'s' * (noise.freedom > 1)}: no loss could be seen; {HINT}"
            )
        changes.append(Change(measured=pair, margin=margin, is_loss=-pair.change > max(margin, least)))
    return changes


def _noises(pairs: Sequence[Measured]) -> dict[tuple[str, str], Noise | None]:
    groups: dict[tuple[str, str], list[Sequence[float]]] = {}
    for pair in pairs:
        groups.setdefault(pair.noise_group, []).extend([pair.before, pair.after])
    return {key: pooled_noise(values) for key, values in groups.items()}


def _differences(before: Run, after: Run) -> list[str]:
    """What makes two runs hard to compare."""
    first, second = before.description.machine, after.description.machine
    pairs = {
        "cpu": (first.cpu, second.cpu),
        "threads": (first.threads, second.threads),
        "gpus": (list(first.gpus), list(second.gpus)),
    }
    remarks = [f"other machines: {name} {a} and {b}" for name, (a, b) in pairs.items() if a != b]
    if before.description.settings.seconds != after.description.settings.seconds:
        remarks.append("measurements of other lengths: the noise is taken from both")
    return remarks


def _values(point: Point, figure: ComparedFigure) -> list[float]:
    return [figure.value(record.figures) for record in point.rounds if record.figures is not None]


def _log_mean(values: Sequence[float]) -> float:
    return statistics.fmean(math.log(value) for value in values)


if __name__ == "__main__":
    sys.exit(main())
