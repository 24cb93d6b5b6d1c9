"""Which tasks answer, over HTTP: what Kubernetes probes. Triton's own endpoint says 200 even if a step has gone.

/livez         200 while the command runs
/readyz        200 where every task answers, else 503
/readyz/TASK   the same of one task; 404 where there is none of that name
The body of the last two is JSON: {"ready": true} or {"ready": false, "reasons": {"TASK": "why"}}.
"""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from ernie_serve.problems import ServeError, port_taken
from ernie_serve.supervisor import State

SECONDS = 5.0  # that a caller may take to send its request


@contextmanager
def endpoint(state: State, host: str, port: int) -> Iterator[int]:
    """Answer on this port (0: a free one) until the block ends; gives the port. ServeError where it is taken."""

    class Handler(BaseHTTPRequestHandler):
        timeout = SECONDS

        def do_GET(self) -> None:
            path = urlsplit(self.path).path.rstrip("/")
            if path == "/livez":
                self._reply(200, {"live": True})
            elif path == "/readyz":
                self._ready(None)
            elif path.startswith("/readyz/") and (task := unquote(path.removeprefix("/readyz/"))) in state.tasks:
                self._ready(task)
            else:
                self._reply(404, {"error": f"no {path}: ask /livez, /readyz or /readyz/TASK"})

        do_HEAD = do_GET

        def _ready(self, task: str | None) -> None:
            reasons = state.unready(task)
            self._reply(503 if reasons else 200, {"ready": False, "reasons": reasons} if reasons else {"ready": True})

        def _reply(self, status: int, body: object) -> None:
            data = json.dumps(body, ensure_ascii=False).encode() + b"\n"
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(data)

        def log_message(self, *_: object) -> None:
            """Probes come every few seconds: no line for each."""

    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        daemon_threads = True

    try:
        server = Server((host, port), Handler)
    except OSError:
        raise ServeError(port_taken("health", port)) from None
    thread = threading.Thread(target=server.serve_forever, args=(0.2,), daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
