"""`ernie-triton perf plan RUN --task T --rate 5000 --p99 50ms`: how many machines like the measured one, of which
variant, and what that assumes."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path

from ..errors import PerfError, RunError
from ..sweep.records import Run
from .cli import on_what
from .curves import Curve, Point, curves


@dataclass(frozen=True)
class Capacity:
    """Texts a second that one instance answers with p99 within the limit."""

    curve: Curve
    rate: float
    mode: str
    below: Point  # the measured point within the limit
    above: Point | None  # the next one, beyond it; None: the rate is that of `below`

    def instances(self, rate: float, headroom: float) -> int:
        """Machines for so many texts a second, each loaded to 1 - headroom of its capacity."""
        return math.ceil(rate / (self.rate * (1 - headroom)))


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="ernie-triton perf plan", description=__doc__)
    p.add_argument("run", type=Path, help="folder of a sweep")
    p.add_argument("--task", required=True)
    p.add_argument("--rate", type=_above_zero, required=True, help="texts a second that are to be answered")
    p.add_argument("--p99", type=milliseconds, required=True, help="latency that 99 of 100 keep: 50ms, 0.05s, 50")
    p.add_argument("--headroom", type=_part, default=0.2, help="part of the capacity kept free (default 0.2)")
    p.add_argument("--max-drop", type=float, help="only variants that lose at most so many points against fp32")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 a plan, 1 none is possible or a fault (one line), 2 usage."""
    args = parser().parse_args(argv)
    try:
        lines = plan(Run.load(args.run), args.task, args.rate, args.p99, args.headroom, args.max_drop)
    except PerfError as error:
        sys.stderr.write(f"ernie-triton perf plan: {error}\n")
        return 1
    sys.stdout.write("\n".join(lines) + "\n")
    return 0


def plan(run: Run, task: str, rate: float, p99_ms: float, headroom: float, max_drop: float | None) -> list[str]:
    """The answer and its assumptions, in words. Errors: RunError where no measured variant keeps the limit."""
    if task not in run.about["tasks"]:
        raise RunError(f"{run.folder} has no task {task!r}; it has {', '.join(run.about['tasks'])}")
    mine = [curve for curve in curves(run) if curve.task == task and curve.served()]
    fit = [c for c in mine if max_drop is None or (c.about["drop"] or 0.0) <= max_drop]
    found = [one for curve in fit if (one := capacity(curve, p99_ms)) is not None]
    if not found:
        lowest = min((p.median("p99_ms") for c in fit for p in c.served() if p.sustained), default=None)
        why = f"the lowest measured p99 is {lowest:.1f} ms" if lowest is not None else "nothing was measured"
        raise RunError(f"no variant of {task} keeps p99 within {p99_ms:g} ms: {why}; sweep at smaller loads too")
    found.sort(key=lambda one: (one.instances(rate, headroom), -(one.curve.about["figure"] or 0.0)))
    best, about = found[0], run.about["tasks"][task]
    count = best.instances(rate, headroom)
    lines = [
        f"{count} {'instance' if count == 1 else 'instances'} of {task}_{best.curve.variant} for {rate:g} texts/s with "
        f"p99 within {p99_ms:g} ms ({rate / count:.0f} texts/s each of {best.rate:.0f}).",
        "",
        "variant: texts/s an instance, instances, dev figure",
    ]
    for one in found:
        figure = one.curve.about["figure"]
        shown = f"{about['metric']} {figure:.2f}" if figure is not None else "not evaluated"
        lines.append(f"  {one.curve.variant}: {one.rate:.0f}, {one.instances(rate, headroom)}, {shown}")
    left_out = [curve.variant for curve in mine if curve.variant not in {one.curve.variant for one in found}]
    if left_out:
        lines.append(f"  without: {', '.join(left_out)} (the limit, or --max-drop)")
    return [*lines, "", "Assumed:", *(f"- {line}" for line in assumptions(run, task, best, headroom))]


def capacity(curve: Curve, p99_ms: float) -> Capacity | None:
    """The rate at which p99 reaches the limit, on the line between the last measured point within it and the next.

    The last before any that is not; chance may have lifted ones at smaller loads than the first within. The open loop
    where it was measured, else the closed one. Never more than was measured; None where no point is within the limit.
    """
    mode = "rate" if curve.of_mode("rate") else "concurrency"
    points = sorted((p for p in curve.of_mode(mode) if p.sustained), key=lambda p: p.throughput)
    from_first = dropwhile(lambda p: p.median("p99_ms") > p99_ms, points)
    within = list(takewhile(lambda p: p.median("p99_ms") <= p99_ms, from_first))
    if not within:
        return None
    below = within[-1]
    above = next((p for p in points if p.throughput > below.throughput), None)
    if above is None:
        return Capacity(curve, below.throughput, mode, below, None)
    part = (p99_ms - below.median("p99_ms")) / (above.median("p99_ms") - below.median("p99_ms"))
    return Capacity(curve, below.throughput + part * (above.throughput - below.throughput), mode, below, above)


def assumptions(run: Run, task: str, best: Capacity, headroom: float) -> list[str]:
    """What must hold for the answer to."""
    texts, each = run.about["tasks"][task]["texts"], run.about["settings"].get("request_texts", 1)
    lines = [f"every instance is a machine like the measured one. {on_what(run.about)}"]
    lines.append(
        f"texts like those measured: {texts['tokens_mean']} tokens on average, {texts['tokens_max']} at most, "
        f"{each} a request, the same mix; cost grows with tokens"
    )
    if best.mode == "rate":
        lines.append("requests arrive at random (Poisson) and are spread evenly: each instance's share is Poisson too")
    else:
        lines.append(
            "arrivals as smooth as a closed loop's, which waits for answers: real ones come in bursts and p99 will be "
            "worse. Sweep with --rates for an open loop, and plan from that"
        )
    if best.above is None:
        more = [p for p in best.curve.of_mode(best.mode) if p.value > best.below.value]
        then = "more was not measured"
        if more:
            then = f"{more[0].label} {'gave no more' if more[0].sustained else 'was not kept up'}"
        lines.append(f"{best.rate:.0f} texts/s is the most that was kept up ({best.below.label}); {then}")
    else:
        lines.append(
            f"{best.rate:.0f} texts/s lies on the line between {best.below.throughput:.0f} (p99 "
            f"{best.below.median('p99_ms'):.1f} ms) and {best.above.throughput:.0f} (p99 "
            f"{best.above.median('p99_ms'):.1f} ms), both measured"
        )
    lines.append(f"{100 * headroom:.0f}% of each instance's capacity is kept free (--headroom); no machine has failed")
    lines.append("no network between: perf_analyzer ran beside the server and took its share of the CPU")
    return lines


def milliseconds(text: str) -> float:
    """50ms, 0.05s or 50."""
    found = re.fullmatch(r"([0-9.]+)\s*(ms|s)?", text.strip())
    try:
        value = float(found[1]) * (1000 if found[2] == "s" else 1) if found else 0.0
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a time such as 50ms")
    return value


def _above_zero(text: str) -> float:
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _part(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a part from 0 up to 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
