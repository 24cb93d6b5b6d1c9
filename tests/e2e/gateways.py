"""Gateways for tests: in a thread of this process, or as the command."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import uvicorn

from ernie_gateway.app import create
from ernie_gateway.settings import Settings

SECONDS = 30.0


@contextlib.contextmanager
def gateway(grpc_address: str, **settings: object) -> Iterator[str]:
    """The address of a gateway to this server, in a thread."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        config = uvicorn.Config(
            create(Settings(url=grpc_address, **settings)),  # type: ignore[arg-type]
            http="ernie_gateway.protocol:Protocol",
            ws="none",
            log_level="error",
            access_log=False,
            proxy_headers=False,
            timeout_graceful_shutdown=5,
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        deadline = time.monotonic() + SECONDS
        while not server.started and time.monotonic() < deadline:
            time.sleep(0.01)
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(SECONDS)


@contextlib.contextmanager
def gateway_process(grpc_address: str, log: Path, *options: str) -> Iterator[str]:
    """The address of `ernie-triton gateway`; its log goes to a file."""
    command = [sys.executable, "-m", "ernie_gateway", "--url", grpc_address, "--port", "0", *options]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True)
    assert process.stdout is not None
    try:
        line = process.stdout.readline()
        assert "listening on " in line, log.read_text()
        yield line.split()[2]
    finally:
        process.terminate()
        assert process.wait(SECONDS) == 0
        process.stdout.close()
