"""The HTTP client of the comparison, against a real server."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ernie_perf.errors import PeerError
from ernie_perf.peers.closed_loop import closed_loop, http_request, split_answer


class Handler(BaseHTTPRequestHandler):
    """Answers with what it was sent, in two pieces, after `wait` seconds; counts who is inside."""

    protocol_version = "HTTP/1.1"
    inside = most = connections = 0
    lock = threading.Lock()

    def setup(self) -> None:
        super().setup()
        with self.lock:
            Handler.connections += 1

    def do_POST(self) -> None:
        with self.lock:
            Handler.inside += 1
            Handler.most = max(Handler.most, Handler.inside)
        document: dict[str, Any] = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        time.sleep(document.get("wait", 0))
        body = json.dumps(document).encode()
        with self.lock:
            Handler.inside -= 1
        if document.get("hang_up"):
            self.close_connection = True
            return
        self.send_response(document.get("status", 200))
        if not document.get("no_length"):
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[:5])
        self.wfile.flush()
        self.wfile.write(body[5:])

    def log_message(self, *arguments: Any) -> None:
        """Silence."""


@pytest.fixture
def address() -> Iterator[str]:
    Handler.inside = Handler.most = Handler.connections = 0
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def requests(address: str, rows: list[dict[str, Any]]) -> list[bytes]:
    return [http_request(address, "/any", json.dumps(row, ensure_ascii=False).encode()) for row in rows]


def test_answers_keep_the_order_of_the_requests(address: str) -> None:
    rows = [{"n": n, "wait": 0.03 if n % 5 == 0 else 0.0, "text": "中" * (n * 3000)} for n in range(40)]
    run = closed_loop(address, requests(address, rows), 8)
    assert [json.loads(body) for body in run.answers] == rows
    assert all(latency >= 0.03 for latency in run.latencies[::5])
    assert max(run.latencies) <= run.seconds
    assert 2 <= Handler.most <= 8
    assert Handler.connections == 8


def test_one_caller_waits_for_each_answer(address: str) -> None:
    run = closed_loop(address, requests(address, [{"wait": 0.01}] * 5), 1)
    assert Handler.most == Handler.connections == 1
    assert run.seconds >= sum(run.latencies) * 0.99 >= 0.05


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"status": 503}, "status 503"),
        ({"hang_up": True}, "closed a connection"),
        ({"no_length": True}, "without Content-Length"),
        ({"wait": 1.0}, "no answer for 0.2 s"),
    ],
)
def test_what_is_no_answer(address: str, row: dict[str, Any], says: str) -> None:
    with pytest.raises(PeerError, match=says):
        closed_loop(address, requests(address, [{}, row]), 1, patience=0.2)


def test_nobody_listens() -> None:
    with pytest.raises(PeerError, match="failed"):
        closed_loop("127.0.0.1:1", [b"x"], 1)


def test_an_answer_is_whole_or_not() -> None:
    response = b"HTTP/1.1 200 OK\r\nX: y\r\ncontent-LENGTH: 3\r\n\r\nabc"
    assert split_answer(response) == (200, b"abc")
    assert all(split_answer(response[:n]) is None for n in range(len(response)))
