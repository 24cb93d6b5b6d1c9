"""`ernie-triton perf plan RUN --task T --rate 5000 --p99 50ms`, or `--texts 1e9 --within 24h`: how many machines like
the measured one, of which variant, and what that assumes."""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import dropwhile, takewhile
from pathlib import Path

from ernie_runtime.command_line import CommandLine, did_you_mean, json_output
from ernie_runtime.json_types import JsonObject
from ernie_runtime.names import variant_ensemble

from ..command import milliseconds, positive_float, run_command
from ..errors import RunError
from ..sweep.run import Run
from ..sweep.settings import CONCURRENCY, RATE
from .curves import Curve, Point, curves_of
from .document import machine_sentences
from .plan_texts import Pile, plan_lines, work_of


@dataclass(frozen=True, kw_only=True)
class PlanOptions:
    """What the command line asks for."""

    run: Path
    task: str
    rate: float = 0.0  # texts/s to be answered
    p99_ms: float = 0.0
    pile: Pile | None = None  # texts without a caller that waits, instead of a rate
    headroom: float = 0.2  # share of each machine's capacity that is kept free
    max_drop: float | None = None  # points that a variant may lose against fp32; None: any
    json: bool = False


@dataclass(frozen=True, kw_only=True)
class Capacity:
    """Texts/s that one instance answers with p99 within the limit."""

    curve: Curve
    rate: float
    mode: str
    below: Point  # the measured point within the limit
    above: Point | None  # the next one, beyond it; None: `rate` is that of `below`

    def instances(self, rate: float, headroom: float) -> int:
        """Machines for `rate` texts/s, each loaded to 1 - headroom of its capacity."""
        return math.ceil(rate / (self.rate * (1 - headroom)))


def parse(argv: Sequence[str] | None = None) -> PlanOptions:
    """Wrong usage exits with 2."""
    p = CommandLine(prog="ernie-triton perf plan", description=__doc__)
    p.add_argument("run", type=Path, help="folder of a sweep")
    p.add_argument("--task", required=True, help="name of the task")
    p.add_argument("--rate", type=positive_float, help="texts/s to be answered")
    p.add_argument("--p99", type=milliseconds, help="latency that 99%% of requests keep: 50ms, 0.05s, 50")
    p.add_argument("--texts", type=positive_float, help="so many texts, such as 1e9, instead of --rate and --p99")
    p.add_argument("--within", type=_seconds, default="24h", help="with --texts: 90m, 24h, 7d (default: 24h)")
    p.add_argument("--price", type=positive_float, help="with --texts: of a machine-hour, for the cost of a million")
    p.add_argument("--headroom", type=_share, default=0.2, help="share of the capacity kept free (default: 0.2)")
    p.add_argument("--max-drop", type=float, help="only variants that lose at most so many points against fp32")
    p.add_argument("--json", action="store_true", help="print the plan as one object")
    args = p.parse_args(argv)
    if (args.texts is None) == (args.rate is None) or (args.rate is None) != (args.p99 is None):
        p.error("give --rate and --p99, or --texts")
    pile = None
    if args.texts is not None:
        pile = Pile(texts=args.texts, within_s=args.within, headroom=args.headroom, price=args.price)
    return PlanOptions(
        run=args.run,
        task=args.task,
        rate=args.rate or 0.0,
        p99_ms=args.p99 or 0.0,
        pile=pile,
        headroom=args.headroom,
        max_drop=args.max_drop,
        json=args.json,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 a plan, 1 none is possible or an error (one line), 2 usage."""
    options = parse(argv)

    def work() -> int:
        run = Run.load(options.run)
        if options.pile is not None:
            work = work_of(run, options.task, options.pile, options.max_drop)
            sys.stdout.write("\n".join(plan_lines(run, options.task, work)) + "\n")
            report({"task": options.task, "variants": [one.to_json() for one in work]})
            return 0
        possible = capacities_of(run, options)
        sys.stdout.write("\n".join(plan(run, options, possible)) + "\n")
        report({"task": options.task, "variants": [as_json(capacity, options) for capacity in possible]})
        return 0

    with json_output(options.json) as report:
        return run_command("ernie-triton perf plan", work)


def as_json(capacity: Capacity, options: PlanOptions) -> JsonObject:
    """How many instances of a variant, and what each of them answers, in texts/s."""
    return {
        "variant": capacity.curve.variant,
        "instances": capacity.instances(options.rate, options.headroom),
        "texts_per_second": capacity.rate,
        "figure": capacity.curve.description.figure,
        "mode": capacity.mode,
    }


def capacities_of(run: Run, options: PlanOptions) -> list[Capacity]:
    """What the variants that keep the limit can do, the one that needs the fewest instances first.

    Errors: RunError where no measured variant keeps it.
    """
    task, p99_ms, tasks = options.task, options.p99_ms, run.description.tasks
    if task not in tasks:
        raise RunError(f"{run.folder} has no task {task!r}; it has {', '.join(tasks)}{did_you_mean(task, tasks)}")
    curves = [curve for curve in curves_of(run) if curve.task == task and curve.served()]
    accurate = [c for c in curves if options.max_drop is None or (c.description.drop or 0.0) <= options.max_drop]
    capacities = [c for curve in accurate if (c := capacity(curve, p99_ms)) is not None]
    if not capacities:
        lowest = min((p.p99_ms for c in accurate for p in c.served() if p.sustained), default=None)
        why = f"the lowest measured p99 is {lowest:.1f} ms" if lowest is not None else "nothing was measured"
        raise RunError(f"no variant of {task} keeps p99 within {p99_ms:g} ms: {why}; sweep at smaller loads too")
    return sorted(
        capacities,
        key=lambda c: (c.instances(options.rate, options.headroom), -(c.curve.description.figure or 0.0)),
    )


def plan(run: Run, options: PlanOptions, capacities: Sequence[Capacity]) -> list[str]:
    """The answer and its assumptions, in words."""
    task, rate, p99_ms, headroom = options.task, options.rate, options.p99_ms, options.headroom
    curves = [curve for curve in curves_of(run) if curve.task == task and curve.served()]
    best, metric = capacities[0], run.description.tasks[task].metric
    count = best.instances(rate, headroom)
    lines = [
        f"{count} {'instance' if count == 1 else 'instances'} of {variant_ensemble(task, best.curve.variant)} for "
        f"{rate:g} texts/s with p99 within {p99_ms:g} ms ({rate / count:.0f} texts/s each of {best.rate:.0f}).",
        "",
        "variant: texts/s an instance, instances, dev figure",
    ]
    for one in capacities:
        figure = one.curve.description.figure
        accuracy = f"{metric} {figure:.2f}" if figure is not None else "not evaluated"
        lines.append(f"  {one.curve.variant}: {one.rate:.0f}, {one.instances(rate, headroom)}, {accuracy}")
    planned = {one.curve.variant for one in capacities}
    left_out = [curve.variant for curve in curves if curve.variant not in planned]
    if left_out:
        lines.append(f"  without: {', '.join(left_out)} (the limit, or --max-drop)")
    return [*lines, "", "Assumed:", *(f"- {line}" for line in assumptions(run, task, best, headroom))]


def capacity(curve: Curve, p99_ms: float) -> Capacity | None:
    """The rate at which p99 reaches the limit, on the line between two measured points; None where none is within it.

    The two are the last point within the limit, before any that is not, and the next one. Points at smaller loads that
    are beyond the limit are taken for chance. Never more than was measured. From the open loop where it was measured,
    else from the closed one.
    """
    mode = RATE if curve.of_mode(RATE) else CONCURRENCY
    points = sorted((p for p in curve.of_mode(mode) if p.sustained), key=lambda p: p.throughput)
    from_first = dropwhile(lambda p: p.p99_ms > p99_ms, points)
    within = list(takewhile(lambda p: p.p99_ms <= p99_ms, from_first))
    if not within:
        return None
    below = within[-1]
    above = next((p for p in points if p.throughput > below.throughput), None)
    rate = below.throughput
    if above is not None:
        share = (p99_ms - below.p99_ms) / (above.p99_ms - below.p99_ms)
        rate += share * (above.throughput - below.throughput)
    return Capacity(curve=curve, rate=rate, mode=mode, below=below, above=above)


def assumptions(run: Run, task: str, best: Capacity, headroom: float) -> list[str]:
    """What must hold for the answer to."""
    texts, request_texts = run.description.tasks[task].texts, run.description.settings.request_texts
    lines = [f"every instance is a machine like the measured one. {machine_sentences(run.description)}"]
    lines.append(
        f"texts like those measured: {texts.tokens_mean} tokens on average, {texts.tokens_max} at most, "
        f"{request_texts} a request, the same mix; cost grows with tokens"
    )
    if best.mode == RATE:
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
            then = f"{more[0].label} {'gave no more' if more[0].sustained else 'was not sustained'}"
        lines.append(f"{best.rate:.0f} texts/s is the most that was sustained ({best.below.label}); {then}")
    else:
        lines.append(
            f"{best.rate:.0f} texts/s lies on the line between {best.below.throughput:.0f} (p99 "
            f"{best.below.p99_ms:.1f} ms) and {best.above.throughput:.0f} (p99 {best.above.p99_ms:.1f} ms), both "
            "measured"
        )
    lines.append(f"{100 * headroom:.0f}% of each instance's capacity is kept free (--headroom); no machine has failed")
    lines.append("no network in between: perf_analyzer ran beside the server and took its share of the CPU")
    return lines


def _seconds(text: str) -> float:
    units = {"m": 60, "h": 3600, "d": 86400}
    if text[-1:] not in units:
        raise argparse.ArgumentTypeError(f"{text}: expected a time such as 24h")
    return positive_float(text[:-1]) * units[text[-1]]


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a number from 0 up to 1")
    return value


if __name__ == "__main__":
    sys.exit(main())
