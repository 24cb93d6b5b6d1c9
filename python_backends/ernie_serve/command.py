"""The options of ``ernie-triton serve``."""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from ernie_runtime.collector import collector
from ernie_runtime.command_line import CommandLine
from ernie_serve import cache, problems, production


def parser() -> argparse.ArgumentParser:
    """The command line of ``serve``."""
    command = CommandLine(
        prog="ernie-triton serve",
        description="Serve a model repository with the tritonserver of the pip wheel.",
        epilog="Arguments after -- go to tritonserver, such as: -- --model-control-mode=explicit",
    )
    command.add_argument(
        "--repository", type=Path, default=Path("model_repository"), help="as `ernie-triton build` writes it"
    )
    command.add_argument("place", nargs="?", type=Path, metavar="REPOSITORY", help=argparse.SUPPRESS)
    command.add_argument(
        "--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all (default: %(default)s)"
    )
    for use, port in (("http", 8000), ("grpc", 8001), ("metrics", 8002)):
        command.add_argument(
            f"--{use}-port", type=port_number, default=port, help="0 picks a free port (default: %(default)s)"
        )
    command.add_argument(
        "--health-port", type=port_number, help="also say there which tasks answer, at /readyz; 0 picks a free port"
    )
    command.add_argument(
        "--config-name",
        default=problems.STAND_INS,
        help="use configs/NAME.pbtxt of each model, '' for the plain config.pbtxt (default: %(default)s)",
    )
    command.add_argument(
        "--cache",
        type=cache.size,
        default=0,
        metavar="BYTES",
        help="memory for answers to repeated requests, such as 64M (default: no cache)",
    )
    command.add_argument(
        "--trace",
        type=collector,
        metavar="otlp://HOST",
        help="send OpenTelemetry spans of requests and steps to this collector (OTLP over HTTP, port 4318)",
    )
    command.add_argument("--trace-every", type=count, metavar="N", help="with --trace: one request of N (default: all)")
    command.add_argument("--gateway", action="store_true", help="start the REST gateway and its page, too")
    command.add_argument("--gateway-port", type=port_number, default=8080, help="with --gateway: its port")
    command.add_argument(
        "--gateway-keys",
        type=Path,
        metavar="FILE",
        help="with --gateway: its API keys (default: none)",
    )
    production.add_options(command)
    command.add_argument(
        "--auto-complete", action="store_true", help="let Triton complete configurations; starting takes longer"
    )
    command.add_argument(
        "--log-file", type=Path, help="file for tritonserver's log (default: a file in the cache folder)"
    )
    command.add_argument(
        "--timeout", type=seconds, default=180.0, help="seconds until every model must be ready (default: %(default)g)"
    )
    command.add_argument(
        "--drain",
        type=whole_seconds,
        default=30,
        help="seconds for requests in flight when the server stops (default: %(default)s)",
    )
    command.add_argument("--detach", action="store_true", help="run in the background; ernie-triton stop ends it")
    command.add_argument("--json", action="store_true", help="print one object once the server is ready")
    command.add_argument("--verbose", action="store_true", help="repeat the server's log on stderr")
    return command


def port_number(text: str) -> int:
    """A port, 0 to 65535."""
    if not (text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return int(text)


def seconds(text: str) -> float:
    """Seconds above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds


def whole_seconds(text: str) -> int:
    """Whole seconds, 0 or above."""
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of seconds, 0 or above")
    return int(text)


def count(text: str) -> int:
    """A whole number, 1 or above."""
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number, 1 or above")
    return int(text)
