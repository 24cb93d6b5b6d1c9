"""The REST gateway beside the server (``serve --gateway``): a process of its own that ends when the server does."""

from __future__ import annotations

import http.client
import importlib.util
import os
import ssl
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ernie_runtime.install import install_hint
from ernie_serve.problems import ServeError

PACKAGES = (
    "ernie_gateway",
    "httptools",
    "orjson",
    "prometheus_client",
    "starlette",
    "tritonclient",
    "uvicorn",
    "uvloop",
)
START_SECONDS = 30.0
TRITON_KEY = "ERNIE_GATEWAY_TRITON_KEY"  # ernie_gateway.settings.TRITON_KEY


@dataclass(frozen=True, kw_only=True)
class GatewayOptions:
    """Where it listens, and how; see the options of `ernie-triton gateway`."""

    host: str
    port: int
    keys: Path | None
    grpc_port: int | None = None
    tls_certificate: str | None = None
    tls_key: str | None = None
    behind_proxy: str | None = None
    private_metrics: bool = False
    trace: str = ""
    """Address of a collector of spans; empty: there are none."""
    trace_every: int = 1
    triton_key: tuple[str, str] | None = None
    """Header and value that open Triton's restricted APIs."""

    def arguments(self) -> list[str]:
        """Of the command."""
        given = {
            "--host": self.host,
            "--port": self.port,
            "--keys": self.keys.absolute() if self.keys else None,
            "--grpc-port": self.grpc_port,
            "--tls-certificate": self.tls_certificate,
            "--tls-key": self.tls_key,
            "--behind-proxy": self.behind_proxy,
            "--trace": self.trace or None,
            "--trace-every": self.trace_every if self.trace else None,
        }
        words = [word for name, value in given.items() if value is not None for word in (name, str(value))]
        return [*words, "--private-metrics"] if self.private_metrics else words

    def environment(self) -> dict[str, str]:
        """Of the process: arguments can be seen by everybody on the machine."""
        key = {TRITON_KEY: "=".join(self.triton_key)} if self.triton_key else {}
        return {**os.environ, **key}


def check() -> None:
    """Errors: ServeError where a package that it needs is missing."""
    missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]
    if missing:
        raise ServeError(f"--gateway needs the Python package {missing[0]!r}: {install_hint('gateway')}")


class Gateway:
    """The process, from when it answers until the block ends; it writes its log behind the server's.

    server_pid: the process with which it ends. Errors: ServeError where it does not answer.
    """

    def __init__(self, options: GatewayOptions, grpc_address: str, server_pid: int, log_file: Path) -> None:
        self._options = options
        self._log = log_file.with_suffix(".gateway.log")
        self._command = [sys.executable, "-m", "ernie_gateway", "--url", grpc_address, *options.arguments()]
        self._command += ["--while", str(server_pid)]
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Gateway:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()

    def start(self) -> None:
        """Start the process and wait until it answers."""
        with os.fdopen(os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "ab") as log:
            self._process = subprocess.Popen(
                self._command,
                env=self._options.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + START_SECONDS
        while not _answers(self._options):
            if self._process.poll() is not None or time.monotonic() > deadline:
                self._process.kill()
                self._process.wait()
                last = self._log.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
                reason = last or "no reason given"
                raise ServeError(f"the gateway does not answer on port {self._options.port}: {reason}")
            time.sleep(0.1)

    def repair(self) -> str:
        """Start it again if it has ended; returns what happened, nothing where all is well."""
        if self._process is None or (code := self._process.poll()) is None:
            return ""
        self.start()
        return f"the gateway ended with {f'signal {-code}' if code < 0 else f'code {code}'}: started again"


def _answers(options: GatewayOptions) -> bool:
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(options.host, options.host)
    connection = http.client.HTTPConnection(host, options.port, timeout=2)
    if options.tls_key:  # whoever answers: the certificate is for the name that callers use
        connection = http.client.HTTPSConnection(
            host, options.port, timeout=2, context=ssl._create_unverified_context()
        )
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
