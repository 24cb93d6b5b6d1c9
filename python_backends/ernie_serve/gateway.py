"""The REST gateway beside the server (``serve --gateway``): a process of its own that ends when the server does."""

from __future__ import annotations

import http.client
import importlib.util
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from ernie_runtime.install import install_hint
from ernie_serve.problems import ServeError

PACKAGES = ("ernie_gateway", "fastapi", "httptools", "orjson", "prometheus_client", "tritonclient", "uvicorn", "uvloop")
START_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class GatewayOptions:
    """Where it listens, and the file of its API keys."""

    host: str
    port: int
    keys: Path | None


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
        self._command = [sys.executable, "-m", "ernie_gateway", "--url", grpc_address, "--host", options.host]
        self._command += ["--port", str(options.port), "--while", str(server_pid)]
        self._command += ["--keys", str(options.keys.absolute())] if options.keys else []
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
        with self._log.open("ab") as log:
            self._process = subprocess.Popen(
                self._command, env=os.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
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
    host = "127.0.0.1" if options.host == "0.0.0.0" else options.host
    connection = http.client.HTTPConnection(host, options.port, timeout=2)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
