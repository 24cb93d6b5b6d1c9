"""`ernie-triton perf gateway --task T`: what the REST gateway costs beside gRPC, for one caller and for many.

One text per request, kept connections. gRPC's side is tritonclient, the gateway's a plain socket. With --grpc-proxy the
gateway's gRPC proxy stands in the place of REST.
"""

from __future__ import annotations

import http.client
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

from ernie_builders.config.tasks import TASKS_FILE
from ernie_runtime.command_line import CommandLine
from ernie_runtime.names import variant_ensemble
from ernie_runtime.steps.pipeline import Pipeline
from ernie_serve.ports import pick_ports

from ..command import DEFAULT_REPOSITORY, positive_ints, run_command
from ..errors import PerfError
from ..peers.closed_loop import closed_loop, http_request
from ..sweep.expected import expected_answers
from ..sweep.settings import TaskSelection
from ..sweep.tasks import select_one
from .growth import measure_closed_loop
from .load_client import LoadClient
from .own_server import print_figures, server_of

START_SECONDS = 60.0
WARM_UP = 20  # requests


@dataclass(frozen=True, kw_only=True)
class GatewayOptions:
    """What the command line asks for."""

    selection: TaskSelection
    callers: Sequence[int]
    workers: int
    gather: int | None  # None: the gateway's own default
    grpc_proxy: bool
    rounds: int
    seconds: float  # per measurement
    output: Path | None  # a JSON file
    json: bool


@dataclass(frozen=True, kw_only=True)
class GatewayFigures:
    """So many callers; medians over the rounds."""

    callers: int
    grpc_texts_s: float
    gateway_texts_s: float
    grpc_p50_ms: float
    gateway_p50_ms: float

    def cells(self) -> list[str]:
        """A row of the table."""
        rates, times = (self.grpc_texts_s, self.gateway_texts_s), (self.grpc_p50_ms, self.gateway_p50_ms)
        share = f"{100 * self.gateway_texts_s / self.grpc_texts_s:.0f}%"
        added = f"{self.gateway_p50_ms - self.grpc_p50_ms:+.2f}"
        return [str(self.callers), *(f"{rate:.0f}" for rate in rates), share, *(f"{ms:.2f}" for ms in times), added]


def parse(argv: Sequence[str] | None = None) -> GatewayOptions:
    """Wrong usage exits with 2."""
    p = CommandLine(prog="ernie-triton perf gateway", description=__doc__)
    p.add_argument("--repository", type=Path, default=DEFAULT_REPOSITORY, help="(default: %(default)s)")
    p.add_argument("--task", required=True, help="a task with one text as input")
    p.add_argument("--variant", default="recommended", help="(default: %(default)s)")
    p.add_argument("--concurrency", type=positive_ints, default=(1, 32), help="callers (default: 1,32)")
    p.add_argument("--workers", type=int, default=1, help="processes of the gateway")
    p.add_argument("--gather", type=int, metavar="N", help="as of `ernie-triton gateway`")
    p.add_argument("--grpc-proxy", action="store_true", help="measure the gateway's gRPC proxy in the place of REST")
    p.add_argument("--rounds", type=int, default=3, help="gRPC and gateway in turn; medians are shown")
    p.add_argument("--seconds", type=float, default=3.0, help="per measurement")
    p.add_argument("--limit", type=int, default=500, help="texts")
    p.add_argument("--output", type=Path, help="write the figures and the machine to this JSON file")
    p.add_argument("--json", action="store_true", help="print the figures as one object")
    args = p.parse_args(argv)
    if min(args.rounds, args.seconds, args.limit, args.workers) <= 0:
        p.error("--rounds, --seconds, --limit and --workers must be above 0")
    selection = TaskSelection(
        repository=args.repository,
        tasks=args.task,
        variants=args.variant,
        tasks_file=TASKS_FILE,
        texts={},
        data_dir=None,
        limit=args.limit,
    )
    return GatewayOptions(
        selection=selection,
        callers=args.concurrency,
        workers=args.workers,
        gather=args.gather,
        grpc_proxy=args.grpc_proxy,
        rounds=args.rounds,
        seconds=args.seconds,
        output=args.output,
        json=args.json,
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 measured, 1 an error (one line), 2 usage, 130 interrupted."""
    options = parse(argv)

    def work() -> int:
        figures = measure(options)
        print_figures(table(figures), {"callers": [asdict(row) for row in figures]}, options.output, options.json)
        return 0

    return run_command("ernie-triton perf gateway", work)


def table(figures: Sequence[GatewayFigures]) -> str:
    """As Markdown."""
    header = ["callers", "gRPC: texts/s", "gateway: texts/s", "share", "gRPC: p50 ms", "gateway: p50 ms", "added ms"]
    rows = [header, ["---:"] * len(header), *(row.cells() for row in figures)]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def measure(options: GatewayOptions) -> list[GatewayFigures]:
    """Start a server with the task alone and a gateway before it. Errors: PerfError, ErnieError, ServeError."""
    task, variant = select_one(options.selection)
    if (inputs := len(task.texts.items[0])) != 1:
        raise PerfError(f"task {task.name} takes {inputs} texts; the gateway is measured with one")
    pipeline = Pipeline.load(options.selection.repository, task.name, variant.name)
    model = variant_ensemble(task.name, variant.name)
    with (
        server_of(options.selection.repository, task.name, model) as server,
        gateway_of(server.grpc_address, options.workers, options.gather) as (gateway, proxy),
    ):
        expected = expected_answers(server.grpc_address, pipeline, variant, task.texts.items)
        bodies = [
            json.dumps({"inputs": [item[0]], "variant": variant.name}, ensure_ascii=False).encode()
            for item in expected.items
        ]
        requests = [http_request(gateway, f"/v1/tasks/{task.name}", body) for body in bodies]
        with (
            LoadClient(server.grpc_address, model, expected.inputs, expected.items) as client,
            LoadClient(proxy, model, expected.inputs, expected.items) as proxied,
        ):
            figures = []
            for callers in options.callers:
                rounds = []
                for _ in range(options.rounds):
                    rate, p50 = measure_closed_loop(client, expected, callers, options.seconds)
                    if options.grpc_proxy:
                        other = measure_closed_loop(proxied, expected, callers, options.seconds)
                        rounds.append((rate, other[0], p50, other[1]))
                        continue
                    count = max(WARM_UP, int(rate * options.seconds))
                    closed_loop(gateway, _repeat(requests, WARM_UP), callers)
                    loop = closed_loop(gateway, _repeat(requests, count), callers)
                    times = statistics.median(loop.latencies) * 1000
                    rounds.append((rate, count / loop.seconds, p50, times))
                medians = [statistics.median(column) for column in zip(*rounds, strict=True)]
                figures.append(_figures(callers, medians))
    return figures


def _figures(callers: int, medians: Sequence[float]) -> GatewayFigures:
    grpc_rate, gateway_rate, grpc_p50, gateway_p50 = medians
    return GatewayFigures(
        callers=callers,
        grpc_texts_s=round(grpc_rate, 1),
        gateway_texts_s=round(gateway_rate, 1),
        grpc_p50_ms=round(grpc_p50, 3),
        gateway_p50_ms=round(gateway_p50, 3),
    )


def _repeat(requests: Sequence[bytes], count: int) -> list[bytes]:
    return [requests[index % len(requests)] for index in range(count)]


@contextmanager
def gateway_of(grpc_address: str, workers: int, gather: int | None) -> Iterator[tuple[str, str]]:
    """host:port of a gateway in processes of its own, and of its gRPC proxy. PerfError where it does not answer."""
    proxy = pick_ports("127.0.0.1", {"grpc": 0})["grpc"]
    command = [sys.executable, "-m", "ernie_gateway", "--url", grpc_address, "--port", "0", "--workers", str(workers)]
    command += ["--grpc-port", str(proxy)]
    if gather is not None:
        command += ["--gather", str(gather)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert process.stdout is not None
    try:
        words = process.stdout.readline().split()
        if len(words) < 3:
            raise PerfError("the gateway does not start; `ernie-triton gateway` says why")
        address = words[2].removeprefix("http://")
        _wait(address)
        yield address, f"127.0.0.1:{proxy}"
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()


def _wait(address: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(address, timeout=START_SECONDS)
        try:
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        except (OSError, http.client.HTTPException):
            pass
        finally:
            connection.close()
        time.sleep(0.1)
    raise PerfError(f"the gateway at {address} is not ready after {START_SECONDS:g} s")
