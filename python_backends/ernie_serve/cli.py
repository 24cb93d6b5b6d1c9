"""The command ``ernie-triton serve``."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from types import FrameType

from ernie_runtime.collector import answers
from ernie_runtime.command_line import json_output
from ernie_runtime.json_types import JsonObject
from ernie_serve import background, control, detached, gateway, production, readiness
from ernie_serve.command import parser
from ernie_serve.options import ServerOptions
from ernie_serve.problems import ServeError
from ernie_serve.server import TritonServer
from ernie_serve.supervisor import Supervisor
from ernie_serve.updates import Updates

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGQUIT)
PROGRESS_SECONDS = 20  # between lines of progress where they go to a file


class Stopped(BaseException):
    """A signal asked the command to end; raised once, by the signal handler."""


class Signals:
    """The first SIGINT or SIGTERM raises Stopped in the main thread; the next one, or SIGQUIT, kills the server."""

    def __init__(self, server: TritonServer) -> None:
        self.count = 0
        self._server = server
        for number in STOP_SIGNALS:
            signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        self.count += 1 if number != signal.SIGQUIT else 2
        if self.count > 1:
            self._server.kill()
        if self.count == 1 or number == signal.SIGQUIT:
            raise Stopped


def main(argv: Sequence[str] | None = None) -> int:
    """``ernie-triton serve``: 0 after a normal stop, 1 when the server failed, 2 for wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    cut = words.index("--") if "--" in words else len(words)
    try:
        command = parser()
        parsed = command.parse_args(words[:cut])
        if parsed.trace_every and not parsed.trace:
            command.error("--trace-every goes with --trace")
        parsed.gateway = parsed.gateway or parsed.production
        if fault := production.check_usage(parsed, words[cut + 1 :]):
            command.error(fault)
        if not parsed.gateway and (parsed.gateway_keys or parsed.gateway_port != command.get_default("gateway_port")):
            command.error("--gateway-port and --gateway-keys go with --gateway")
        if parsed.gateway and not parsed.gateway_port:
            command.error("--gateway-port must be above 0")
        if any("poll" in word for word in words[cut + 1 :]):
            command.error("--model-control-mode=poll hangs tritonserver 2.51 when a version is replaced: leave it out")
    except SystemExit as stop:
        return int(stop.code or 0)
    if parsed.detach and not background.is_here():
        return background.start(words)
    if parsed.trace and not answers(parsed.trace):
        sys.stderr.write(f"nothing answers at {parsed.trace}: spans are dropped until a collector does\n")
    logging.basicConfig(level=logging.INFO if parsed.verbose else logging.WARNING, format="%(message)s")
    server = TritonServer(
        ServerOptions(
            repository=parsed.place or parsed.repository,
            host=production.TRITON_HOST if parsed.production else parsed.host,
            http_port=parsed.http_port,
            grpc_port=parsed.grpc_port,
            metrics_port=parsed.metrics_port,
            config_name=parsed.config_name or None,
            log_file=parsed.log_file.absolute() if parsed.log_file else None,
            extra=tuple(words[cut + 1 :]),
            timeout=parsed.timeout,
            drain_seconds=parsed.drain,
            auto_complete=parsed.auto_complete,
            cache=parsed.cache,
            trace=parsed.trace or "",
            trace_every=parsed.trace_every or 1,
            supervised=True,
            private=parsed.production,
        )
    )
    handlers = [(number, signal.getsignal(number)) for number in STOP_SIGNALS]
    signals = Signals(server)
    output = ExitStack()
    try:
        report = output.enter_context(json_output(parsed.json))
        with ExitStack() as resources:
            _serve(server, parsed, resources, report)
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
        output.close()
        server.close()
        for number, handler in handlers:
            signal.signal(number, handler)
    return 0


def _serve(
    server: TritonServer, parsed: argparse.Namespace, resources: ExitStack, report: Callable[[object], None]
) -> None:
    """Start the server and keep it answering until a signal (Stopped) or a fault (ServeError) ends it.

    report: prints where it is, once it is ready, as JSON.
    """
    supervisor = Supervisor(server, _say)
    if parsed.production:
        production.check(parsed)
    if parsed.gateway:
        production.check_files(parsed)
        gateway.check()
    if parsed.health_port is not None:
        health = resources.enter_context(readiness.endpoint(supervisor.state, server.options.host, parsed.health_port))
    ready = _start(server)
    supervisor.begin()
    if parsed.gateway:
        beside = gateway.Gateway(_gateway_options(parsed, server), server.grpc_address, os.getpid(), server.log_file)
        supervisor.also.append(resources.enter_context(beside).repair)
        ready["gateway"] = f"{parsed.host}:{parsed.gateway_port}"
        _say(f"  gateway  {'https' if parsed.tls_key else 'http'}://{ready['gateway']}")
        if parsed.gateway_grpc_port is not None:
            ready["gateway_grpc"] = f"{parsed.host}:{parsed.gateway_grpc_port}"
            _say(f"  its gRPC {ready['gateway_grpc']}")
    if parsed.health_port is not None:
        ready["health"] = f"{server.health.host}:{health}"
        _say(f"  health   http://{ready['health']}/readyz")
    if server.view:
        updates = Updates(server, supervisor)
        resources.enter_context(control.listening(server.options.http_port, server.options.repository, updates))
    report(ready)
    if background.is_here():
        record = _record(server)
        record.write()
        resources.callback(record.path.unlink, missing_ok=True)
        port = server.options.http_port
        _say(f"in the background as process {os.getpid()}; stop it: ernie-triton stop --http-port {port}")
        background.let_go(server.events_file)
    elif parsed.verbose:
        threading.Thread(target=_repeat_log, args=(server,), daemon=True).start()
    try:
        supervisor.run()
    except Stopped:
        supervisor.state.reason = "the server is stopping"  # readiness first: who asks it sends no more
        raise


def _repeat_log(server: TritonServer) -> None:
    """What tritonserver writes from now on, on stderr too; a server that is started again has a new log."""
    inode, log = 0, None
    while True:
        with suppress(FileNotFoundError):
            if log is None or server.log_file.stat().st_ino != inode:
                log = server.log_file.open("rb")
                inode = server.log_file.stat().st_ino
        text = log.read() if log else b""
        if text:
            sys.stderr.write(text.decode("utf-8", "replace"))
            sys.stderr.flush()
        time.sleep(0.2)


def _start(server: TritonServer) -> JsonObject:
    """Start the server and say where it is once it is ready; returns the same."""
    running = {record.http_port: record for record in detached.running()}
    if server.options.http_port in running:
        port = server.options.http_port
        raise ServeError(f"a server runs in the background on HTTP port {port}: ernie-triton stop --http-port {port}")
    server.start()
    seconds = server.wait_ready(_progress())
    _say(f"ready after {seconds:.1f} s")
    _say(f"  HTTP     http://{server.http_address}")
    _say(f"  gRPC     {server.grpc_address}")
    _say(f"  metrics  http://{server.metrics_address}/metrics")
    _say(f"  log      {server.log_file}")
    tasks = server.health.ensembles()
    _say("  tasks    " + (" ".join(tasks) if tasks else "none (no ensemble in this repository)"))
    return {
        "http": server.http_address,
        "grpc": server.grpc_address,
        "metrics": server.metrics_address,
        "log": str(server.log_file),
        "pid": os.getpid() if background.is_here() else server.pid,
        "seconds": round(seconds, 1),
        "tasks": list(tasks),
    }


def _gateway_options(parsed: argparse.Namespace, server: TritonServer) -> gateway.GatewayOptions:
    return gateway.GatewayOptions(
        host=parsed.host,
        port=parsed.gateway_port,
        keys=parsed.gateway_keys,
        grpc_port=parsed.gateway_grpc_port,
        tls_certificate=parsed.tls_certificate,
        tls_key=parsed.tls_key,
        behind_proxy=parsed.behind_proxy,
        private_metrics=parsed.production,
        trace=parsed.trace or "",
        trace_every=parsed.trace_every or 1,
        triton_key=server.key if parsed.production else None,
    )


def _record(server: TritonServer) -> detached.Record:
    options = server.options
    return detached.Record(
        pid=os.getpid(),
        started=detached.start_time(os.getpid()),
        host=options.host,
        http_port=options.http_port,
        grpc_port=options.grpc_port,
        metrics_port=options.metrics_port,
        drain_seconds=options.drain_seconds,
        repository=str(options.repository.resolve()),
        log_file=str(server.log_file),
    )


def _progress() -> Callable[[int, int], None]:
    """Says on standard error how many models are ready; where that is a file, every 20 seconds at most."""
    last = time.monotonic()

    def show(ready: int, total: int) -> None:
        nonlocal last
        if sys.stderr.isatty() or time.monotonic() - last >= PROGRESS_SECONDS:
            last = time.monotonic()
            sys.stderr.write(f"{ready} of {total} models ready\n")
            sys.stderr.flush()

    return show


def _say(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()
