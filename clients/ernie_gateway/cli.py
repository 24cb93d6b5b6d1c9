"""The command `ernie-triton gateway`."""

from __future__ import annotations

import argparse
import ipaddress
import math
import os
import resource
import signal
import socket
import ssl
import sys
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ernie_runtime.collector import collector
from ernie_runtime.command_line import CommandLine
from ernie_triton import ErnieTritonError
from ernie_triton.connection import connection

from . import certificates, keys, measures
from .settings import Settings, triton_headers

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
    command.add_argument(
        "--gather",
        type=_count,
        default=DEFAULTS.gather,
        metavar="N",
        help="requests at Triton before others for the same model wait and go together; 0: none wait",
    )
    command.add_argument("--keys", type=Path, metavar="FILE", help="API keys, hashed; a change counts within a second")
    command.add_argument("--new-key", metavar="NAME", help="add a key to the file of --keys, print it once, and exit")
    command.add_argument("--rate", type=_rate, metavar="N", help="with --new-key: texts a second that it may ask")
    command.add_argument("--tls-certificate", type=Path, metavar="PEM", help="speak TLS, with this certificate")
    command.add_argument("--tls-key", type=Path, metavar="PEM", help="its private key")
    command.add_argument(
        "--behind-proxy",
        type=_addresses,
        metavar="ADDRESSES",
        help="believe X-Forwarded-For of these proxies: addresses or networks such as 10.0.0.0/8, with commas between",
    )
    command.add_argument("--grpc-port", type=_port, help="also take gRPC there, of tasks alone; not with port 0")
    command.add_argument(
        "--private-metrics", action="store_true", help="with --keys: /metrics and /openapi.json need a key, too"
    )
    command.add_argument(
        "--cors-origin",
        action="append",
        default=[],
        metavar="ORIGIN",
        help="web pages of this origin may ask; repeat it",
    )
    command.add_argument(
        "--trace",
        type=collector,
        metavar="otlp://HOST",
        help="send OpenTelemetry spans to this collector (OTLP over HTTP, port 4318), as `serve --trace` does",
    )
    command.add_argument("--trace-every", type=_positive, metavar="N", help="with --trace: one request of N")
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
        if parsed.rate and not parsed.new_key:
            command.error("--rate goes with --new-key NAME")
        if (parsed.tls_certificate is None) != (parsed.tls_key is None):
            command.error("--tls-certificate and --tls-key go together")
        if parsed.private_metrics and not parsed.keys:
            command.error("--private-metrics goes with --keys FILE")
        if parsed.trace_every and not parsed.trace:
            command.error("--trace-every goes with --trace")
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        if parsed.new_key:
            sys.stdout.write(keys.add(parsed.keys, parsed.new_key, parsed.rate or 0.0) + "\n")
            return 0
        if parsed.keys:
            keys.read(parsed.keys)
        connection(parsed.url, timeout=parsed.timeout)  # an address that is none is refused here, not by each worker
        if parsed.tls_key:
            _check_pair(parsed.tls_certificate, parsed.tls_key)
        if parsed.grpc_port is not None:
            _check_free(parsed.host, parsed.grpc_port)
        return _run(parsed)
    except (keys.KeysError, ErnieTritonError, OSError) as error:
        sys.stderr.write(f"ernie-triton gateway: {error}\n")
        return 1


def _run(parsed: argparse.Namespace) -> int:
    import uvicorn

    settings = Settings(
        url=parsed.url,
        timeout=parsed.timeout,
        max_body=parsed.max_body,
        max_items=parsed.max_items,
        max_requests=parsed.max_requests,
        body_timeout=parsed.body_timeout,
        gather=parsed.gather,
        keys_file=str(parsed.keys.absolute()) if parsed.keys else None,
        grpc_host=parsed.host,
        grpc_port=parsed.grpc_port,
        tls_certificate=str(parsed.tls_certificate.absolute()) if parsed.tls_certificate else None,
        tls_key=str(parsed.tls_key.absolute()) if parsed.tls_key else None,
        private_metrics=parsed.private_metrics,
        triton_headers=triton_headers(),
        origins=tuple(parsed.cors_origin),
        trace=parsed.trace or "",
        trace_every=parsed.trace_every or 1,
        log_texts=parsed.log_texts,
    )
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
        ssl_certfile=settings.tls_certificate,
        ssl_keyfile=settings.tls_key,
        ssl_context_factory=certificates.context if settings.tls_key else None,
        proxy_headers=parsed.behind_proxy is not None,
        forwarded_allow_ips=parsed.behind_proxy,
    )
    _allow_files()
    if parsed.server_pid:
        threading.Thread(target=_end_with, args=(parsed.server_pid,), daemon=True).start()
    with tempfile.TemporaryDirectory(prefix="ernie-gateway") as folder:
        replace(settings, rates_folder=folder).to_environment()
        if parsed.workers > 1:
            os.environ[measures.SHARED] = folder
        listener = config.bind_socket()
        listener.listen(BACKLOG)  # from now on callers wait, where they would be refused
        port = listener.getsockname()[1]
        sys.stdout.write(
            f"listening on {'https' if parsed.tls_key else 'http'}://{parsed.host}:{port} for Triton at {parsed.url}\n"
        )
        sys.stdout.flush()
        if parsed.workers > 1:
            from uvicorn.supervisors import Multiprocess

            Multiprocess(config, [listener]).run()
        else:
            for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn repeats what ended it, once it has
                signal.signal(number, lambda *_: None)
            uvicorn.Server(config).run(sockets=[listener])
    return 0


def _check_pair(certificate: Path, key: Path) -> None:
    """OSError where the two are no certificate and its key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        raise OSError(f"{certificate} and {key} are no certificate and its key in PEM form ({error.reason})") from None
    except OSError as error:
        missing = certificate if not certificate.is_file() else key
        raise OSError(f"{missing} cannot be read: {error.strerror}") from None


def _check_free(host: str, port: int) -> None:
    """OSError where another process listens on a port, which gRPC would share with it."""
    try:
        with socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET):
            return
    except OSError as error:
        raise OSError(f"port {port} of --grpc-port is taken: {error.strerror}") from None


def _allow_files() -> None:
    """As many open files as this process may have: a connection is one, and the usual limit is 1,024."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


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


def _count(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"{text} is not a whole number, 0 or above")
    return int(text)


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 0 < seconds < 1e6:
        raise argparse.ArgumentTypeError(f"{text} is not a number of seconds above 0")
    return seconds


def _rate(text: str) -> float:
    try:
        rate = float(text)
    except ValueError:
        rate = math.nan
    if not 0 < rate < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is not a number of texts a second above 0")
    return rate


def _addresses(text: str) -> str:
    for part in text.split(","):
        try:
            ipaddress.ip_network(part.strip())
        except ValueError:
            raise argparse.ArgumentTypeError(f"{part.strip()!r} is no address and no network (10.0.0.0/8)") from None
    return text
