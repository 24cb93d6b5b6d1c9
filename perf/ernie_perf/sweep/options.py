"""The command line of `perf sweep`, and what it asks for as data."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from ernie_builders.config.tasks import TASKS_FILE

from .engine import BATCHES
from .load import Load

QUICK_SECONDS = 300.0


@dataclass(frozen=True)
class Settings:
    """What is measured and how; two sweeps with equal settings (and tasks) go on in the same folder."""

    loads: tuple[Load, ...]
    rounds: int
    seconds: float  # of a measurement
    limit: int  # texts a task
    engine: bool
    batches: tuple[int, ...]
    engine_texts: int
    config_name: str
    device: str
    quick: bool
    request_texts: int = 1

    def to_json(self) -> dict[str, object]:
        """For run.json."""
        return {
            "concurrency": [load.value for load in self.loads if load.mode == "concurrency"],
            "rates": [load.value for load in self.loads if load.mode == "rate"],
            "rounds": self.rounds,
            "seconds": self.seconds,
            "limit": self.limit,
            "engine_batches": list(self.batches) if self.engine else [],
            "engine_texts": self.engine_texts,
            "config_name": self.config_name,
            "device": self.device,
            "quick": self.quick,
            **({"request_texts": self.request_texts} if self.request_texts > 1 else {}),  # as runs of before have it
        }


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(
        prog="ernie-triton perf sweep",
        description="Measure a served repository with perf_analyzer: tasks x variants x loads, rounds in turn.",
        epilog="The same command goes on with a sweep that was interrupted. Then: ernie-triton perf report RUN",
    )
    p.add_argument("--repository", type=Path, default=Path("model_repository"))
    p.add_argument("--tasks", default="all", help="names, joined by commas")
    p.add_argument("--variants", default="all", help="names, joined by commas; all; or recommended")
    p.add_argument(
        "--concurrency", type=_whole, default=(1, 8, 32), help="requests in flight, e.g. 1,8,32; '' for none"
    )
    p.add_argument("--rates", type=_numbers, default=(), help="open loop: Poisson requests a second, e.g. 100,200,300")
    p.add_argument("--request-texts", type=_positive, default=1, help="texts in each request, closed loops (default 1)")
    p.add_argument("--rounds", type=_positive, help="of every measurement, in turn over the variants (default 3)")
    p.add_argument("--seconds", type=_seconds, help="a measurement takes about so long (default 6)")
    p.add_argument("--quick", action="store_true", help="one round of short measurements, 5 minutes at most")
    p.add_argument("--engine", action="store_true", help="measure the bare encoder too, in this process, in each round")
    p.add_argument("--batches", type=_whole, default=BATCHES, help="batch sizes of the bare encoder")
    p.add_argument("--engine-texts", type=_positive, help="texts of a measurement of the bare encoder (default 512)")
    p.add_argument("--texts", action="append", default=[], metavar="TASK=FILE", help="in the format of the tasks file")
    p.add_argument("--data-dir", type=Path, help="a folder a task, as for build: its dev set is what is sent")
    p.add_argument("--tasks-file", type=Path, default=TASKS_FILE)
    p.add_argument("--limit", type=_positive, help="texts a task (default 1000)")
    p.add_argument("--output", type=Path, help="folder of the run (default: under build/perf, by what is asked for)")
    p.add_argument("--url", help="HOST:PORT (gRPC) of a server that runs already; it must serve --repository")
    p.add_argument("--http-url", help="with --url: HOST:PORT of its HTTP, for statistics")
    p.add_argument("--metrics-url", default="", help="with --url: HOST:PORT of its metrics, for the padding waste")
    p.add_argument("--config-name", default="ragged", help="as for serve: configs/NAME.pbtxt; '' for the plain one")
    p.add_argument("--device", choices=("cpu", "gpu"), default="cpu", help="what the server runs on, for the record")
    return p


def settings_of(args: argparse.Namespace) -> Settings:
    """What the arguments ask for; --quick fills in smaller numbers where none are given."""
    loads = [Load("concurrency", value) for value in args.concurrency] + [Load("rate", value) for value in args.rates]
    rounds, seconds, limit, texts = (1, 1.5, 200, 128) if args.quick else (3, 6.0, 1000, 512)
    return Settings(
        tuple(loads),
        args.rounds or rounds,
        args.seconds or seconds,
        args.limit or limit,
        args.engine,
        tuple(args.batches),
        args.engine_texts or texts,
        args.config_name,
        args.device,
        args.quick,
        args.request_texts,
    )


def check(p: argparse.ArgumentParser, args: argparse.Namespace) -> None:
    """Exit 2 for arguments that do not go together."""
    if not args.concurrency and not args.rates and not args.engine:
        p.error("nothing to measure: give --concurrency, --rates or --engine")
    if args.rates and args.request_texts > 1:
        p.error("--request-texts goes with --concurrency: open loops send a text a request")
    if bool(args.url) != bool(args.http_url):
        p.error("--url and --http-url go together: the load goes to the one, the statistics come from the other")
    if args.metrics_url and not args.url:
        p.error("--metrics-url goes with --url")
    for text in args.texts:
        if "=" not in text:
            p.error(f"--texts {text}: expected TASK=FILE")


def _parts(text: str) -> list[str]:
    return [part for part in (part.strip() for part in text.split(",")) if part]


def _whole(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(_positive(part) for part in _parts(text)))


def _numbers(text: str) -> tuple[float, ...]:
    return tuple(sorted({_seconds(part) for part in _parts(text)}))


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 < value < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value
