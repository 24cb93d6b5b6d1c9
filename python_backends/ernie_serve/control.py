"""A running `serve` takes orders over a socket of its user: `ernie-triton reload TASK`.

The socket is a file in the cache folder, named by the HTTP port. One JSON line asks, JSON lines reply:
{"reload": "tnews"} -> {"say": "..."} ... {"done": {...}}, or {"error": "..."}.
"""

from __future__ import annotations

import json
import os
import socket
import socketserver
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path

from ernie_runtime.json_types import JsonObject
from ernie_serve.backends import cache_root
from ernie_serve.problems import ServeError
from ernie_serve.updates import Updates

CREDENTIALS = struct.Struct("3i")  # pid, uid, gid
CONNECT_SECONDS = 5.0


def path(http_port: int) -> Path:
    """The socket of the server on a port."""
    return cache_root() / f"serve-{http_port}.socket"


@contextmanager
def listening(http_port: int, repository: Path, updates: Updates) -> Iterator[None]:
    """Take orders until the block ends."""

    class Handler(socketserver.StreamRequestHandler):
        def handle(self) -> None:
            credentials = self.connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, CREDENTIALS.size)
            if CREDENTIALS.unpack(credentials)[1] not in (os.getuid(), 0):
                return
            with suppress(BrokenPipeError, ConnectionResetError):
                self._answer(json.loads(self.rfile.readline() or b"{}"))

        def _answer(self, order: JsonObject) -> None:
            if "reload" not in order:
                self._send({"http_port": http_port, "repository": str(repository.resolve())})
                return
            try:
                update = updates.update(str(order["reload"]), lambda line: self._send({"say": line}))
            except ServeError as error:
                self._send({"error": str(error)})
            else:
                self._send({"done": {**asdict(update), "line": update.line()}})

        def _send(self, reply: JsonObject) -> None:
            # Whoever gives an order may go; the order is carried out.
            with suppress(BrokenPipeError, ConnectionResetError):
                self.wfile.write(json.dumps(reply, ensure_ascii=False).encode() + b"\n")

    class Server(socketserver.ThreadingUnixStreamServer):
        daemon_threads = True

    file = path(http_port)
    file.unlink(missing_ok=True)
    with _short_path(file) as address, Server(address, Handler) as server:
        file.chmod(0o600)
        thread = threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
            file.unlink(missing_ok=True)


@contextmanager
def _short_path(file: Path) -> Iterator[str]:
    """The address of a socket holds 107 bytes, a path may be longer."""
    folder = os.open(file.parent, os.O_PATH)
    try:
        yield f"/proc/self/fd/{folder}/{file.name}"
    finally:
        os.close(folder)


def order(http_port: int, words: JsonObject) -> Iterator[JsonObject]:
    """The replies to one order. OSError where no server takes orders there."""
    with socket.socket(socket.AF_UNIX) as connection, _short_path(path(http_port)) as address:
        connection.connect(address)
        connection.sendall(json.dumps(words).encode() + b"\n")
        with connection.makefile("rb") as lines:
            yield from map(json.loads, lines)


def servers() -> dict[int, str]:
    """HTTP port -> repository of the servers that take orders from this user."""
    found = {}
    for file in sorted(cache_root().glob("serve-*.socket")):
        port = int(file.stem.removeprefix("serve-"))
        with suppress(OSError, StopIteration):
            found[port] = str(next(order(port, {}))["repository"])
    return found


def find(http_port: int | None, repository: Path | None) -> int:
    """HTTP port of the server that is meant. ServeError where there is none, or more than one."""
    running = servers()
    place = str(repository.resolve()) if repository else None
    matches = [port for port, served in running.items() if http_port in (None, port) and place in (None, served)]
    if len(matches) == 1:
        return matches[0]
    if matches:
        ports = ", ".join(map(str, matches))
        raise ServeError(f"several servers run (HTTP ports {ports}): name one with --http-port")
    of = f" of {place}" if place else ""
    at = f" on HTTP port {http_port}" if http_port is not None else ""
    others = "".join(f"; one of {served} runs on {port}" for port, served in running.items())
    raise ServeError(f"no server{of} runs{at} for this user{others}: it is started with `ernie-triton serve`")


def reload(port: int, task: str, say: Callable[[str], None]) -> JsonObject:
    """Let a server serve the newest version of a task; returns what it did. ServeError where it does not."""
    try:
        for reply in order(port, {"reload": task}):
            if "error" in reply:
                raise ServeError(reply["error"])
            if "done" in reply:
                return dict(reply["done"])
            say(reply["say"])
    except OSError as error:
        raise ServeError(f"the server on HTTP port {port} takes no orders ({error.strerror})") from None
    raise ServeError(f"the server on HTTP port {port} ended during the update")
