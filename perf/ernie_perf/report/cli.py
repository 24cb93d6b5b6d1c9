"""`ernie-triton perf report RUN`: a recorded run as one HTML page and as Markdown."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.command_line import CommandLine, json_output

from ..command import positive_floats, run_command
from ..sweep.run import Run
from .document import P99_LIMITS_MS, report_page
from .figures import run_figures


@dataclass(frozen=True, kw_only=True)
class ReportOptions:
    """What the command line asks for."""

    run: Path
    output: Path
    p99_limits_ms: Sequence[float]
    json: bool


def parse(argv: Sequence[str] | None = None) -> ReportOptions:
    """Wrong usage exits with 2."""
    p = CommandLine(prog="ernie-triton perf report", description=__doc__)
    p.add_argument("run", type=Path, help="folder of a sweep")
    p.add_argument("--output", type=Path, help="folder for report.html, report.md and the pictures (default: RUN)")
    p.add_argument(
        "--p99",
        type=_limits,
        default=P99_LIMITS_MS,
        metavar="MS,MS",
        help="limits in ms for the largest rate (default: 10,20,50,100,200)",
    )
    p.add_argument("--json", action="store_true", help="print the figures and the files as one object")
    args = p.parse_args(argv)
    return ReportOptions(run=args.run, output=args.output or args.run, p99_limits_ms=args.p99, json=args.json)


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 written, 1 an error (one line), 2 usage."""
    options = parse(argv)

    def write() -> int:
        run = Run.load(options.run)
        files = report_page(run, options.p99_limits_ms).write(options.output)
        for path in files:
            if path.suffix != ".svg":
                sys.stdout.write(f"{path}\n")
        report({"run": options.run, "files": files, "tasks": run_figures(run, options.p99_limits_ms)})
        return 0

    with json_output(options.json) as report:
        return run_command("ernie-triton perf report", write)


def _limits(text: str) -> tuple[float, ...]:
    limits = positive_floats(text)
    if not limits:
        raise argparse.ArgumentTypeError(f"{text}: expected milliseconds joined by commas")
    return limits


if __name__ == "__main__":
    sys.exit(main())
