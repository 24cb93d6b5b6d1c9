"""`ernie-triton perf growth --task T`: what a token costs as texts grow longer and callers more, served and bare.

Flat figures down a column mean that cost grows with the text and nothing else; attention makes long texts dearer.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ernie_builders.config.tasks import TASKS_FILE
from ernie_runtime.names import variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline

from ..errors import PerfError
from ..sweep.engine import run_engine
from ..sweep.expected import Expected, expected_answers
from ..sweep.subjects import find_subjects
from ..sweep.texts import Texts, cut_texts
from .load_client import Client
from .own_server import check_answers, command, server_of

LENGTHS = (8, 16, 32, 64, 128, 256, 512)
TRIES = 20  # cuts of a text until it has the tokens asked for
WARM = 0.3  # seconds


@dataclass(frozen=True)
class Growth:
    """One length: texts of `tokens` tokens. Rates in texts a second, by batch size and by number of callers."""

    tokens: int
    engine: dict[int, float]
    served: dict[int, float]
    p50_ms: dict[int, float]

    def cells(self) -> list[str]:
        """Microseconds a token: the engine's, then the server's; then the latency of each number of callers."""
        costs = [1e6 / (rate * self.tokens) for rate in (*self.engine.values(), *self.served.values())]
        return [str(self.tokens), *(f"{cost:.0f}" for cost in costs), *(f"{ms:.1f}" for ms in self.p50_ms.values())]


def parser() -> argparse.ArgumentParser:
    """The command line."""
    p = argparse.ArgumentParser(prog="ernie-triton perf growth", description=__doc__)
    p.add_argument("--repository", type=Path, default=Path("model_repository"))
    p.add_argument("--task", required=True, help="one that takes one text")
    p.add_argument("--variant", default="recommended")
    p.add_argument("--lengths", type=_numbers, help="tokens of a text, default up to the task's longest window")
    p.add_argument("--batches", type=_numbers, default=(1, 8, 32), help="of the bare engine")
    p.add_argument("--concurrency", type=_numbers, default=(1, 8, 32), help="callers of the server, a text each")
    p.add_argument("--rounds", type=int, default=3, help="over all lengths in turn; medians")
    p.add_argument("--seconds", type=float, default=2.0, help="of each served measurement")
    p.add_argument("--data-dir", type=Path, help="the texts that are cut and joined; default: the sample that ships")
    p.add_argument("--tasks-file", type=Path, default=TASKS_FILE)
    p.add_argument("--limit", type=int, default=64, help="texts of each length")
    p.add_argument("--output", type=Path, help="the figures and the machine as JSON")
    return p


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, 1 a fault (one line), 2 usage, 130 interrupted."""
    arguments = parser()
    args = arguments.parse_args(argv)
    if args.rounds <= 0 or args.seconds <= 0 or args.limit <= 0:
        arguments.error("--rounds, --seconds and --limit must be above 0")

    def measure() -> tuple[str, dict[str, Any]]:
        found = growth(args)
        return table(found), {"lengths": [asdict(one) for one in found]}

    return command("ernie-triton perf growth", measure, args.output)


def table(found: Sequence[Growth]) -> str:
    """As Markdown: microseconds a token, then p50 in ms."""
    first = found[0]
    header = ["tokens a text", *(f"engine, batch {batch}: us a token" for batch in first.engine)]
    header += [f"served, {callers} callers: us a token" for callers in first.served]
    header += [f"{callers} callers: p50 ms" for callers in first.p50_ms]
    rows = [header, ["---:"] * len(header), *(one.cells() for one in found)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def growth(args: argparse.Namespace) -> list[Growth]:
    """Start a server with the task alone and measure every length, rounds in turn."""
    (subject,) = find_subjects(args.repository, args.task, args.variant, args.tasks_file, {}, args.data_dir, 2000)
    if len(subject.texts.items[0]) != 1:
        raise PerfError(f"task {args.task} takes {len(subject.texts.items[0])} texts; growth is measured with one")
    pipeline = Pipeline.load(args.repository, args.task, subject.variants[0].name)
    longest = subject.manifest.limits.max_length
    lengths = args.lengths or [n for n in LENGTHS if n <= longest]
    sets = {n: of_length(pipeline, subject.texts.items, n, args.limit) for n in lengths}
    model = variant_ensemble(args.task, subject.variants[0].name)
    engine: dict[tuple[int, int], list[float]] = {}
    served: dict[tuple[int, int], list[tuple[float, float]]] = {}
    with server_of(args.repository, model) as server:
        clients: dict[int, tuple[Client, Expected]] = {}
        try:
            for n, texts in sets.items():
                expected = expected_answers(server.grpc_address, pipeline, subject.variants[0], texts.items)
                clients[n] = Client(server.grpc_address, model, expected.inputs, expected.items), expected
            for _ in range(args.rounds):
                for n, texts in sets.items():
                    for batch in args.batches:
                        run = run_engine(pipeline, texts.windows, len(texts.items), batch, "file")
                        engine.setdefault((n, batch), []).append(run.throughput)
                    for callers in args.concurrency:
                        served.setdefault((n, callers), []).append(_closed(*clients[n], callers, args.seconds))
        finally:
            for client, _ in clients.values():
                client.close()
    return [
        Growth(
            n,
            {batch: round(statistics.median(engine[n, batch]), 1) for batch in args.batches},
            {callers: round(statistics.median(r for r, _ in served[n, callers]), 1) for callers in args.concurrency},
            {callers: round(statistics.median(ms for _, ms in served[n, callers]), 2) for callers in args.concurrency},
        )
        for n in sets
    ]


def of_length(pipeline: Pipeline, items: Sequence[tuple[str, ...]], tokens: int, count: int) -> Texts:
    """So many texts of that many tokens, special ones included, made of the given ones joined and cut.

    Errors: PerfError where there is too little text, or none can be cut to that length.
    """
    pool = "".join(item[0] for item in items)
    cut: list[tuple[str, ...]] = []
    for start in range(0, len(pool), max(1, len(pool) // (2 * count))):
        end, length = start + tokens, 0
        for _ in range(TRIES):
            (document,), windows = pipeline.kind.documents([(pool[start:end],)], pipeline.tokenizer, pipeline.manifest)
            length = len(windows[0].input_ids) if len(windows) == 1 and document.error is None else 0
            if length == tokens or end <= start or end > len(pool):
                break
            end += tokens - length if length else -1  # more than a window, or nothing that can be answered
        if length == tokens:
            cut.append((pool[start:end],))
        if len(cut) == count:
            break
    if len(cut) < count:
        raise PerfError(
            f"task {pipeline.manifest.task}: no {count} texts of {tokens} tokens in one window; --lengths, --limit"
        )
    return cut_texts(pipeline, cut, f"{tokens} tokens", count)


def _closed(client: Client, expected: Expected, callers: int, seconds: float) -> tuple[float, float]:
    """Texts a second, and p50 in ms."""
    client.closed(callers, WARM)
    outcomes = client.closed(callers, seconds)
    check_answers(outcomes, expected)
    if refused := next((one.message for one in outcomes if one.status), ""):
        raise PerfError(f"a request was refused ({refused}): measure a task that was published without an SLO")
    took = max(one.sent + one.seconds for one in outcomes)
    return len(outcomes) / took, 1000 * statistics.median(one.seconds for one in outcomes)


def _numbers(text: str) -> list[int]:
    """1,8,32; ValueError, which argparse tells, for anything else."""
    numbers = [int(part) for part in text.split(",")]
    if min(numbers) < 1:
        raise ValueError(text)
    return numbers


_numbers.__name__ = "list of whole numbers above 0"  # as argparse names it


if __name__ == "__main__":
    sys.exit(main())
