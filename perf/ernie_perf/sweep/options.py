"""The command line of `perf sweep`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

from ernie_builders.config.tasks import TASKS_FILE
from ernie_runtime.command_line import CommandLine

from ..command import DEFAULT_REPOSITORY, positive_float, positive_floats, positive_int, positive_ints
from ..machine import repository_name
from .engine import BATCHES
from .settings import CONCURRENCY, RATE, Load, ServerAddresses, SweepRequest, SweepSettings, TaskSelection

EPILOG = "Run the same command again to resume a sweep that was interrupted. Then: ernie-triton perf report RUN"


def parse(argv: Sequence[str] | None = None) -> SweepRequest:
    """The request that the arguments make; wrong usage exits with 2."""
    parser = _parser()
    args = parser.parse_args(argv)
    _check(parser, args)
    settings = _settings(args)
    return SweepRequest(
        selection=TaskSelection(
            repository=args.repository,
            tasks=args.tasks,
            variants=args.variants,
            tasks_file=args.tasks_file,
            texts=dict(args.texts),
            data_dir=args.data_dir,
            limit=settings.limit,
        ),
        settings=settings,
        server=ServerAddresses(grpc=args.url, http=args.http_url, metrics=args.metrics_url) if args.url else None,
        output=args.output,
        json=args.json,
    )


def _settings(args: argparse.Namespace) -> SweepSettings:
    """--quick has smaller defaults."""
    rounds, seconds, limit, engine_texts = (1, 1.5, 200, 128) if args.quick else (3, 6.0, 1000, 512)
    loads = [Load(CONCURRENCY, value) for value in args.concurrency] + [Load(RATE, value) for value in args.rates]
    return SweepSettings(
        repository=repository_name(args.repository),
        loads=tuple(loads),
        rounds=args.rounds or rounds,
        seconds=args.seconds or seconds,
        limit=args.limit or limit,
        engine=args.engine,
        batches=args.batches,
        engine_texts=args.engine_texts or engine_texts,
        config_name=args.config_name,
        device=args.device,
        quick=args.quick,
        request_texts=args.request_texts,
    )


def _parser() -> argparse.ArgumentParser:
    p = CommandLine(
        prog="ernie-triton perf sweep",
        description="Measure a served repository with perf_analyzer: every task, variant and load, in rounds.",
        epilog=EPILOG,
    )
    p.add_argument("--repository", type=Path, default=DEFAULT_REPOSITORY, help="(default: %(default)s)")
    p.add_argument("--tasks", default="all", help="names joined by commas (default: all)")
    p.add_argument("--variants", default="all", help="names joined by commas, all, or recommended (default: all)")
    p.add_argument(
        "--concurrency",
        type=positive_ints,
        default=(1, 8, 32),
        metavar="N,N",
        help="closed loop: requests in flight; '' for none (default: 1,8,32)",
    )
    p.add_argument(
        "--rates",
        type=positive_floats,
        default=(),
        metavar="R,R",
        help="open loop: requests/s with Poisson arrivals, e.g. 100,200,300 (default: none)",
    )
    p.add_argument(
        "--request-texts", type=positive_int, default=1, help="texts per request, closed loops only (default: 1)"
    )
    p.add_argument("--rounds", type=positive_int, help="each round measures every variant and load once (default: 3)")
    p.add_argument("--seconds", type=positive_float, help="approximate length of a measurement (default: 6)")
    p.add_argument("--quick", action="store_true", help="one round of short measurements, 5 minutes at most")
    p.add_argument("--engine", action="store_true", help="also measure the bare encoder, in this process, each round")
    p.add_argument(
        "--batches",
        type=positive_ints,
        default=BATCHES,
        metavar="N,N",
        help=f"batch sizes of the bare encoder (default: {','.join(map(str, BATCHES))})",
    )
    p.add_argument("--engine-texts", type=positive_int, help="texts per measurement of the bare encoder (default: 512)")
    p.add_argument(
        "--texts",
        type=_task_file,
        action="append",
        default=[],
        metavar="TASK=FILE",
        help="a task's texts, in the format that the tasks file names",
    )
    p.add_argument("--data-dir", type=Path, help="one folder per task, as for build: its dev set is sent")
    p.add_argument("--tasks-file", type=Path, default=TASKS_FILE, help="(default: the one that ships)")
    p.add_argument("--limit", type=positive_int, help="texts per task (default: 1000)")
    p.add_argument(
        "--output", type=Path, help="folder of the run (default: under build/perf, named by settings and tasks)"
    )
    p.add_argument("--url", help="HOST:PORT (gRPC) of a running server; it must serve --repository")
    p.add_argument("--http-url", help="with --url: HOST:PORT of its HTTP endpoint, for statistics")
    p.add_argument("--metrics-url", default="", help="with --url: HOST:PORT of its metrics, for the padding waste")
    p.add_argument(
        "--config-name",
        default="ragged",
        help="as for serve: configs/NAME.pbtxt; '' for config.pbtxt (default: ragged)",
    )
    p.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="what the server runs on, for the record")
    p.add_argument("--json", action="store_true", help="print one object at the end: the run's folder and failures")
    return p


def _check(parser: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit with 2 for arguments that do not go together."""
    if not args.concurrency and not args.rates and not args.engine:
        parser.error("nothing to measure: give --concurrency, --rates or --engine")
    if args.rates and args.request_texts > 1:
        parser.error("--request-texts goes with --concurrency: open loops send one text per request")
    if bool(args.url) != bool(args.http_url):
        parser.error("--url and --http-url go together: requests go to the one, statistics come from the other")
    if args.metrics_url and not args.url:
        parser.error("--metrics-url goes with --url")


def _task_file(text: str) -> tuple[str, Path]:
    task, separator, file = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text}: expected TASK=FILE")
    return task, Path(file)
