"""`ernie-triton perf report RUN`: a recorded run as one HTML page and as Markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import PerfError, RunError
from ..sweep.records import SUSTAINED, Run
from . import plots, tables
from .curves import Curve, curves
from .page import Figure, Heading, Page, Text

P99_MS = (10.0, 20.0, 50.0, 100.0, 200.0)


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="ernie-triton perf report", description=__doc__)
    p.add_argument("run", type=Path, help="folder of a sweep")
    p.add_argument("--output", type=Path, help="where to write report.html, report.md and the pictures (default: RUN)")
    p.add_argument("--p99", type=_limits, default=P99_MS, help="limits in ms for the largest rate, e.g. 20,50,100")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 written, 1 a fault (one line), 2 usage."""
    args = parser().parse_args(argv)
    try:
        for path in report(Run.load(args.run), args.p99).write(args.output or args.run):
            if path.suffix != ".svg":
                sys.stdout.write(f"{path}\n")
    except PerfError as error:
        sys.stderr.write(f"ernie-triton perf report: {error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"ernie-triton perf report: {error.filename}: {error.strerror}\n")
        return 1
    return 0


def report(run: Run, limits: Sequence[float]) -> Page:
    """The page of a run. Errors: RunError where nothing was measured."""
    found = curves(run)
    if not any(curve.points or curve.engine for curve in found):
        raise RunError(f"{run.folder}: nothing is measured yet; run the sweep again, it goes on")
    page = Page("Serving speed")
    page.add(Text(on_what(run.about)), Text(how(run.about)))
    for task, about in run.about["tasks"].items():
        mine = [curve for curve in found if curve.task == task]
        if any(curve.points or curve.engine for curve in mine):
            _task(page, task, about, mine, limits)
    if (failed := tables.faults(found)) is not None:
        page.add(Heading(2, "Failed"), failed)
    return page


def _task(page: Page, task: str, about: Mapping[str, Any], mine: Sequence[Curve], limits: Sequence[float]) -> None:
    texts = about["texts"]
    page.add(
        Heading(2, f"{task}: {about['title']}"),
        Text(
            f"{texts['texts']:,} texts ({texts['source']}), {texts['tokens_mean']} tokens on average, "
            f"{texts['tokens_p50']} at the median, {texts['tokens_max']} at most; {texts['windows']:,} windows. "
            f"Recommended variant: {about['recommended']}."
        ),
    )
    if (rates := tables.largest_rates(mine, limits)) is not None:
        page.add(Heading(3, "Largest request rate with p99 under a limit"), Text(_rate_note(mine)), rates)
    if (side := tables.side_by_side(mine, about["metric"])) is not None:
        page.add(Heading(3, "Variants side by side"), side)
    page.add(
        _figure(f"{task}-latency", plots.throughput_latency(mine), "Latency against throughput; numbers: the load"),
        _figure(
            f"{task}-pareto",
            plots.pareto(mine, about["metric"], about["recommended"]),
            "Accuracy against throughput; star: recommended; the line joins variants that none beats in both",
        ),
    )
    if (every := tables.loads(mine)) is not None:
        page.add(Heading(3, "Every load"), every)
    page.add(_figure(f"{task}-stages", plots.stage_bars(mine), "Where a request's time goes"))
    page.add(_figure(f"{task}-padding", plots.padding_bars(mine), "Padding waste in the encoder"))
    if (used := tables.cpu(mine)) is not None:
        page.add(Heading(3, "CPU milliseconds a text, by process"), used)
    if (bare := tables.engine(mine)) is not None:
        page.add(Heading(3, "Bare encoder, texts/s by batch size"), Text(ENGINE_NOTE), bare)


ENGINE_NOTE = (
    "In one process, tokenized before, padded per batch, without server. In order pads batches of texts as they come; "
    "sorted sorts all texts by length first, which a service cannot."
)


def _rate_note(mine: Sequence[Curve]) -> str:
    if any(curve.of_mode("rate") for curve in mine):
        return (
            "Open loop: Poisson arrivals, whatever the server does. A rate counts where "
            f"{100 * SUSTAINED:.0f}% of it is answered, less what chance may take (two standard deviations of the "
            "number of arrivals: much of a low rate). The largest of the measured rates, not an interpolation."
        )
    return (
        "Closed loop only (no --rates were measured): a client waits for its answer before it asks again, so arrivals "
        "are smoother than users'. The best of the measured loads, not an interpolation."
    )


def on_what(about: Mapping[str, Any]) -> str:
    """The machine in a sentence."""
    on, settings = about["machine"], about["settings"]
    parts = [on["cpu"], ", ".join(on["instructions"]) or "no vector instructions known", f"{on['threads']} threads"]
    gpu = f"; GPU: {'; '.join(on['gpus'])}" if on["gpus"] else ""
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    server = f" Server: tritonserver {about['server']['version']}." if "server" in about else ""
    return (
        f"Measured on {', '.join(parts)}{gpu}; device {settings['device']}.{server} {versions}. "
        f"Load average when it began: {on['load_average'][0]}."
    )


def how(about: Mapping[str, Any]) -> str:
    """Rounds and checks in a sentence or two."""
    settings = about["settings"]
    texts = settings.get("request_texts", 1)
    return (
        f"perf_analyzer over gRPC, {'one text' if texts == 1 else f'{texts} texts'} a request; "
        f"{settings['rounds']} rounds of {settings['seconds']:g} s in turn over variants, medians of the rounds. Every "
        "answer was compared with the same task's answer in one process; a wrong one fails the measurement."
    )


def _figure(name: str, svg: str | None, caption: str) -> Figure | None:
    return Figure(name, svg, caption) if svg is not None else None


def _limits(text: str) -> tuple[float, ...]:
    limits = tuple(sorted({float(part) for part in text.split(",") if part.strip()}))
    if not limits or limits[0] <= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected milliseconds joined by commas")
    return limits


if __name__ == "__main__":
    sys.exit(main())
