"""`ernie-triton top`: a live view in the terminal of what a server does, from its metrics."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING

from ernie_runtime.command_line import CommandLine

from ..errors import ErnieTritonError
from .rates import ModelRates, ServerRates, between
from .samples import read

if TYPE_CHECKING:
    from rich.table import Table

ADDRESS = "127.0.0.1:8002"
COLUMNS = ("req/s", "rows/s", "batch", "queue", "compute", "total", "waiting", "refused", "failed", "padding")
WIDTH = 120  # columns where the output is no terminal
HELP = """columns: rows are texts, of encoders and postprocessors windows; batch: rows per execution; queue, compute and
total: milliseconds per request, on average; waiting: requests in the queue now; refused: requests per second that found
the queue full or their time over; failed: per second; padding: tokens of padding per real token. A model without
requests in the interval is left out unless --all is given."""


def command_line() -> CommandLine:
    """The parser of `ernie-triton top`."""
    parser = CommandLine(prog="ernie-triton top", description=__doc__, epilog=HELP)
    parser.add_argument("--metrics-url", default=ADDRESS, help="HOST:PORT of the server's metrics")
    parser.add_argument("--interval", type=float, default=2.0, help="seconds between two readings")
    parser.add_argument("--count", type=int, default=0, help="end after this many intervals; 0: at Ctrl-C")
    parser.add_argument("--all", action="store_true", help="idle models, too")
    parser.add_argument("--json", action="store_true", help="one object an interval, one a line")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Show the rates until Ctrl-C or --count; 1 where there are no metrics."""
    parser = command_line()
    arguments = parser.parse_args(argv)
    if not 0.1 <= arguments.interval <= 3600:
        parser.error(f"--interval is {arguments.interval}; give 0.1 to 3600 seconds")
    if arguments.count < 0:
        parser.error(f"--count is {arguments.count}; it must be 0 or above")
    stream = _intervals(arguments.metrics_url, arguments.interval, arguments.count)
    try:
        if arguments.json:
            for rates in stream:
                print(json.dumps(asdict(rates)), flush=True)
        else:
            _show(stream, arguments.all)
    except ErnieTritonError as error:
        print(f"ernie-triton top: {error}", file=sys.stderr)
        return 1
    return 0


def _intervals(address: str, interval: float, count: int) -> Iterator[ServerRates]:
    before = read(address)
    number = 0
    while not count or number < count:
        time.sleep(interval)
        after = read(address)
        yield between(before, after)
        before, number = after, number + 1


def _show(stream: Iterator[ServerRates], everything: bool) -> None:
    from rich.console import Console
    from rich.live import Live

    console = Console()
    if not console.is_terminal:
        console = Console(width=WIDTH)
        for rates in stream:
            console.print(table(rates, everything))
        return
    with Live("waiting for the first interval ...", console=console, screen=True, auto_refresh=False) as live:
        for rates in stream:
            live.update(table(rates, everything), refresh=True)


def table(rates: ServerRates, everything: bool) -> Table:
    """The rates as a table for a terminal."""
    from rich import box
    from rich.table import Table

    shown = [model for model in rates.models if everything or not model.is_idle]
    caption = _machine(rates) + ("" if shown else "\nno requests in this interval (--all shows idle models)")
    result = Table(box=box.SIMPLE_HEAD, caption=caption, caption_justify="left", padding=(0, 1, 0, 0))
    result.add_column("model", no_wrap=True, max_width=40, min_width=12)
    for column in COLUMNS:
        result.add_column(column, justify="right", no_wrap=True, min_width=len(column))
    for model in shown:
        result.add_row(*_cells(model), style="dim" if model.is_step else "bold")
    return result


def _cells(model: ModelRates) -> list[str]:
    return [
        f"  {model.model}" if model.is_step else model.model,
        _rate(model.requests_per_second),
        _rate(model.texts_per_second),
        _number(model.rows_per_execution, ".1f"),
        _number(model.queue_ms, ".1f"),
        _number(model.compute_ms, ".1f"),
        _number(model.total_ms, ".1f"),
        str(model.waiting),
        _alarm(model.refused_per_second, "yellow"),
        _alarm(model.failed_per_second, "red"),
        _number(model.padding, ".0%"),
    ]


def _number(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)


def _rate(rate: float) -> str:
    return f"{rate:,.0f}" if rate >= 10 or not rate else f"{rate:.1f}"


def _alarm(rate: float, colour: str) -> str:
    return f"[{colour}]{_rate(rate)}[/]" if rate else ""


def _machine(rates: ServerRates) -> str:
    parts = [f"{rates.seconds:.1f} s"]
    if rates.cpu is not None:
        parts.append(f"CPU of the machine {rates.cpu:.0%}")
    if rates.memory is not None and rates.memory_total is not None:
        parts.append(f"memory {rates.memory / 2**30:.1f} of {rates.memory_total / 2**30:.1f} GiB")
    return ", ".join(parts)
