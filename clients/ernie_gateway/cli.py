"""The command `ernie-triton gateway`."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from ernie_runtime.command_line import CommandLine
from ernie_triton import ErnieTritonError
from ernie_triton.connection import connection

from . import keys, measures
from .settings import Settings

BACKLOG = 2048  # connections that wait to be taken
DEFAULTS = Settings()


def parser() -> CommandLine:
    """The command line."""
    command = CommandLine(
        prog="ernie-triton gateway",
        description="JSON over HTTP for every task of a running server, and a page to try them on.",
    )
    command.add_argument("--url", default=DEFAULTS.url, metavar="HOST:PORT", help="Triton's gRPC port")
    command.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all")
    command.add_argument("--port", type=_port, default=8080, help="0 picks a free port")
    command.add_argument("--workers", type=_positive, default=1, help="processes")
    command.add_argument("--timeout", type=_seconds, default=DEFAULTS.timeout, help="seconds for Triton; then 504")
    command.add_argument("--max-body", type=_positive, default=DEFAULTS.max_body, help="bytes of a body; more: 413")
    command.add_argument(
        "--max-items", type=_positive, default=DEFAULTS.max_items, help="items of a request; more: 413"
    )
    command.add_argument(
        "--max-requests", type=_positive, default=DEFAULTS.max_requests, help="requests in hand by worker; more: 429"
    )
    command.add_argument(
        "--body-timeout", type=_seconds, default=DEFAULTS.body_timeout, help="seconds for a body to arrive; then 408"
    )
    command.add_argument("--keys", type=Path, metavar="FILE", help="API keys, hashed; a change counts within a second")
    command.add_argument("--new-key", metavar="NAME", help="add a key to the file of --keys, print it once, and exit")
    command.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="web pages of this origin may ask; repeat it",
    )
    command.add_argument("--log-texts", action="store_true", help="log the body of each request, too")
    command.add_argument(
        "--while", type=_positive, dest="server_pid", help=argparse.SUPPRESS
    )  # end when this process does
    return command


def main(argv: Sequence[str] | None = None) -> int:
    """0 after a normal stop, 1 where it cannot start, 2 for wrong usage."""
    command = parser()
    try:
        parsed = command.parse_args(argv)
        if parsed.new_key and not parsed.keys:
            command.error("--new-key goes with --keys FILE")
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        if parsed.new_key:
            sys.stdout.write(keys.add(parsed.keys, parsed.new_key) + "\n")
            return 0
        if parsed.keys:
            keys.read(parsed.keys)
        connection(parsed.url, timeout=parsed.timeout)  # an address that is none is refused here, not by each worker
        return _run(parsed)
    except (keys.KeysError, ErnieTritonError, OSError) as error:
        sys.stderr.write(f"ernie-triton gateway: {error}\n")
        return 1


def _run(parsed: argparse.Namespace) -> int:
    import uvicorn

    Settings(
        url=parsed.url,
        timeout=parsed.timeout,
        max_body=parsed.max_body,
        max_items=parsed.max_items,
        max_requests=parsed.max_requests,
        body_timeout=parsed.body_timeout,
        keys_file=str(parsed.keys.absolute()) if parsed.keys else None,
        origins=tuple(parsed.cors_origin),
        log_texts=parsed.log_texts,
    ).to_environment()
    config = uvicorn.Config(
        "ernie_gateway.app:from_environment",
        factory=True,
        host=parsed.host,
        port=parsed.port,
        workers=parsed.workers,
        loop="uvloop",
        http="ernie_gateway.protocol:Protocol",
        ws="none",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=30,
    )
    if parsed.server_pid:
        threading.Thread(target=_end_with, args=(parsed.server_pid,), daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="ernie-gateway") as folder:
        if parsed.workers > 1:
            os.environ[measures.SHARED] = folder
        socket = config.bind_socket()
        socket.listen(BACKLOG)  # from now on callers wait, where they would be refused
        port = socket.getsockname()[1]
        sys.stdout.write(f"listening on http://{parsed.host}:{port} for Triton at {parsed.url}\n")
        sys.stdout.flush()
        if parsed.workers > 1:
            from uvicorn.supervisors import Multiprocess

            Multiprocess(config, [socket]).run()
        else:
            for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn repeats what ended it, once it has
                signal.signal(number, lambda *_: None)
            uvicorn.Server(config).run(sockets=[socket])
    return 0


def _end_with(pid: int) -> None:
    """Ask this process to end once the process `pid` has."""
    while Path(f"/proc/{pid}").exists():
        time.sleep(0.25)
    os.kill(os.getpid(), signal.SIGTERM)


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return int(text)


def _positive(text: str) -> int:
    if not text.isdecimal() or not int(text):
        raise argparse.ArgumentTypeError(f"{text} is not a whole number, 1 or above")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds
