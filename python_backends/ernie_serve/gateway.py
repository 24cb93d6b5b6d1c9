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


def start(options: GatewayOptions, grpc_address: str, server_pid: int, log_file: Path) -> subprocess.Popen[bytes]:
    """The process, once it answers; it writes its log behind the server's. Errors: ServeError where it does not."""
    command = [sys.executable, "-m", "ernie_gateway", "--url", grpc_address, "--host", options.host]
    command += ["--port", str(options.port), "--while", str(server_pid)]
    command += ["--keys", str(options.keys.absolute())] if options.keys else []
    path = log_file.with_suffix(".gateway.log")
    with path.open("wb") as log:
        process = subprocess.Popen(
            command, env=os.environ, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    deadline = time.monotonic() + START_SECONDS
    while not _answers(options):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            last = path.read_text(encoding="utf-8", errors="replace").strip().rpartition("\n")[2]
            raise ServeError(f"the gateway does not answer on port {options.port}: {last or 'no reason given'}")
        time.sleep(0.1)
    return process


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
