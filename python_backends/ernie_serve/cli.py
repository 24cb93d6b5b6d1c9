"""The commands ``ernie-triton serve`` and ``ernie-triton stop``."""

from __future__ import annotations

import argparse
import logging
import math
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

from ernie_serve import cache, detached, problems
from ernie_serve.problems import ServeError
from ernie_serve.server import ServerOptions, TritonServer

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(BaseException):
    """Somebody asked the command to end; raised once, by the signal handler."""


class Signals:
    """The first SIGINT or SIGTERM raises Stopped in the main thread, the next one kills the server."""

    def __init__(self, server: TritonServer) -> None:
        self.count = 0
        self._server = server
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1
        if self.count == 1:
            raise Stopped
        self._server.kill()


def parser() -> argparse.ArgumentParser:
    """Arguments of ``serve``."""
    made = argparse.ArgumentParser(
        prog="ernie-triton serve",
        description="Serve a model repository with the tritonserver of the pip wheel.",
        epilog="What follows -- goes to tritonserver, such as: -- --model-control-mode=explicit",
    )
    made.add_argument("repository", nargs="?", type=Path, default=Path("model_repository"))
    made.add_argument("--host", default="127.0.0.1", help="address to listen on; 0.0.0.0 for all")
    made.add_argument("--http-port", type=_port, default=8000, help="0 picks a free one, as with the others")
    made.add_argument("--grpc-port", type=_port, default=8001)
    made.add_argument("--metrics-port", type=_port, default=8002)
    made.add_argument(
        "--config-name",
        default=problems.STAND_INS,
        help="use configs/NAME.pbtxt of each model; '' for the plain config.pbtxt",
    )
    made.add_argument(
        "--cache",
        type=cache.size,
        default=0,
        metavar="BYTES",
        help="keep answers to repeated requests in so much memory (such as 64M); default: none",
    )
    made.add_argument("--auto-complete", action="store_true", help="let Triton complete configurations; slower start")
    made.add_argument("--log-file", type=Path, help="what tritonserver writes; default: a file in the cache folder")
    made.add_argument("--timeout", type=_seconds, default=180.0, help="seconds until every model must be ready")
    made.add_argument(
        "--drain", type=_whole_seconds, default=30, help="seconds that requests in flight may take at the end"
    )
    made.add_argument("--detach", action="store_true", help="run in the background; end it with ernie-triton stop")
    made.add_argument("--verbose", action="store_true", help="repeat the server's log on stderr")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """``ernie-triton serve``: 0 after a normal stop, 1 when the server failed, 2 for wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    cut = words.index("--") if "--" in words else len(words)
    try:
        given = parser().parse_args(words[:cut])
    except SystemExit as leaving:
        return int(leaving.code or 0)
    logging.basicConfig(level=logging.INFO if given.verbose else logging.WARNING, format="%(message)s")
    server = TritonServer(
        ServerOptions(
            repository=given.repository,
            host=given.host,
            http_port=given.http_port,
            grpc_port=given.grpc_port,
            metrics_port=given.metrics_port,
            config_name=given.config_name or None,
            log_file=given.log_file.absolute() if given.log_file else None,
            extra=tuple(words[cut + 1 :]),
            timeout=given.timeout,
            drain_seconds=given.drain,
            auto_complete=given.auto_complete,
            detached=given.detach,
            cache=given.cache,
        )
    )
    before = [(number, signal.getsignal(number)) for number in STOP_SIGNALS]
    signals = Signals(server)
    keep = False
    try:
        _start(server)
        if given.detach:
            _record(server).write()
            keep = True
            _say(
                f"in the background as process {server.pid}; stop it: ernie-triton stop --http-port "
                f"{server.options.http_port}"
            )
            return 0
        _watch(server, given.verbose)
        raise ServeError(server.explain_exit())
    except Stopped:
        _say("stopping: requests in flight may finish; once more to end at once")
        server.stop()
        if signals.count > 1:
            sys.stderr.write("ended at once; requests in flight were lost\n")
        return 0 if signals.count == 1 else 1
    except ServeError as error:
        sys.stderr.write(f"ernie-triton serve: {error}\n")
        return 1
    finally:
        if not keep:
            server.kill()
        for number, handler in before:
            signal.signal(number, handler)


def stop_main(argv: Sequence[str] | None = None) -> int:
    """``ernie-triton stop``: 0 when the server has ended, 1 when there is none, 2 for wrong usage."""
    made = argparse.ArgumentParser(prog="ernie-triton stop", description="Stop a server started with serve --detach.")
    made.add_argument("--http-port", type=_port, help="needed only when several run")
    try:
        given = made.parse_args(argv)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    try:
        record = detached.find(given.http_port)
        drained = record.stop()
    except ServeError as error:
        sys.stderr.write(f"ernie-triton stop: {error}\n")
        return 1
    _say(f"stopped the server on HTTP port {record.http_port}" + ("" if drained else "; requests in flight were lost"))
    return 0


def _start(server: TritonServer) -> None:
    running = {record.http_port: record for record in detached.running()}
    if server.options.http_port in running:
        port = server.options.http_port
        raise ServeError(f"a server runs in the background on HTTP port {port}: ernie-triton stop --http-port {port}")
    server.start()
    seconds = server.wait_ready(lambda ready, total: _say(f"{ready} of {total} models ready"))
    _say(f"ready after {seconds:.1f} s")
    _say(f"  HTTP     http://{server.http_address}")
    _say(f"  gRPC     {server.grpc_address}")
    _say(f"  metrics  http://{server.metrics_address}/metrics")
    _say(f"  log      {server.log_file}")
    tasks = server.health.ensembles()
    _say("  tasks    " + (" ".join(tasks) if tasks else "none (no ensemble in this repository)"))


def _watch(server: TritonServer, verbose: bool) -> None:
    """Return when the server has ended by itself."""
    with server.log_file.open("rb") as log:
        while server.poll() is None:
            text = log.read() if verbose else b""
            if text:
                sys.stderr.write(text.decode("utf-8", "replace"))
                sys.stderr.flush()
            time.sleep(0.2)


def _record(server: TritonServer) -> detached.Record:
    options = server.options
    return detached.Record(
        pid=server.pid,
        started=detached.start_time(server.pid),
        host=options.host,
        http_port=options.http_port,
        grpc_port=options.grpc_port,
        metrics_port=options.metrics_port,
        drain_seconds=options.drain_seconds,
        repository=str(options.repository.resolve()),
        log_file=str(server.log_file),
    )


def _port(text: str) -> int:
    if not (text.isdecimal() and int(text) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is not a port (0 to 65535)")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds


def _whole_seconds(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number of seconds, 0 or above")
    return int(text)


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
