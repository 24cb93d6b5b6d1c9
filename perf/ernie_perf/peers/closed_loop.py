"""A closed loop over HTTP: each of several connections sends its next request when its last one is answered.

One thread and non-blocking sockets. Requests are made before the clock starts and answers are parsed after it stops, so
that the client takes little of the CPU that it shares with the server.
"""

from __future__ import annotations

import selectors
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..errors import PeerError

PATIENCE_SECONDS = 60.0  # without any answer
RECEIVE_BYTES = 1 << 16


@dataclass(frozen=True, kw_only=True)
class LoopResult:
    """One pass over the texts; latencies and answers are in the order of the texts."""

    seconds: float
    latencies: list[float]  # seconds
    answers: list[bytes]


@dataclass(kw_only=True)
class _Connection:
    """One caller with its request in flight."""

    socket: socket.socket
    index: int = -1  # of the request
    sent_at: float = 0.0
    unsent: bytes = b""  # rest of the request
    received: bytes = b""  # beginning of the answer


def http_request(address: str, path: str, body: bytes) -> bytes:
    """A POST of JSON on a connection that stays open."""
    head = f"POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
    return head.encode() + b"\r\n\r\n" + body


def split_answer(received: bytes) -> tuple[int, bytes] | None:
    """Status and body of a complete answer; None while some of it is missing.

    Errors: PeerError for an answer without a Content-Length.
    """
    head, separator, body = received.partition(b"\r\n\r\n")
    if not separator:
        return None
    lines = head.split(b"\r\n")
    fields = dict(line.lower().split(b":", 1) for line in lines[1:])
    if b"content-length" not in fields:
        raise PeerError(f"answer without Content-Length: {head[:200]!r}")
    if len(body) < int(fields[b"content-length"]):
        return None
    return int(lines[0].split()[1]), body


def closed_loop(
    address: str, requests: Sequence[bytes], concurrency: int, patience: float = PATIENCE_SECONDS
) -> LoopResult:
    """Send every request once.

    Errors: PeerError for an answer without status 200, and where none comes for `patience` seconds.
    """
    host, _, port = address.rpartition(":")
    latencies, answers = [0.0] * len(requests), [b""] * len(requests)
    connections: list[_Connection] = []
    next_index = answered = 0
    with selectors.DefaultSelector() as selector:
        try:
            for _ in range(min(concurrency, len(requests))):
                connection = _Connection(socket=socket.create_connection((host, int(port)), timeout=patience))
                connection.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                connection.socket.setblocking(False)
                connections.append(connection)
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            started = time.perf_counter()
            for connection in connections:
                _send(selector, connection, next_index, requests[next_index])
                next_index += 1
            while answered < len(requests):
                ready = selector.select(patience)
                if not ready:
                    raise PeerError(f"no answer for {patience:g} s")
                for key, events in ready:
                    connection = key.data
                    if events & selectors.EVENT_WRITE:
                        _push(selector, connection)
                    if events & selectors.EVENT_READ and (body := _receive(connection)) is not None:
                        latencies[connection.index] = time.perf_counter() - connection.sent_at
                        answers[connection.index] = body
                        answered += 1
                        if next_index < len(requests):
                            _send(selector, connection, next_index, requests[next_index])
                            next_index += 1
            return LoopResult(seconds=time.perf_counter() - started, latencies=latencies, answers=answers)
        except OSError as error:
            raise PeerError(f"the connection to {address} failed ({error.strerror or error})") from None
        finally:
            for connection in connections:
                connection.socket.close()


def _send(selector: selectors.BaseSelector, connection: _Connection, index: int, request: bytes) -> None:
    connection.index, connection.sent_at = index, time.perf_counter()
    connection.received, connection.unsent = b"", request
    _push(selector, connection)


def _push(selector: selectors.BaseSelector, connection: _Connection) -> None:
    """Send what the socket takes; wait to write only while something is left."""
    with suppress(BlockingIOError):
        connection.unsent = connection.unsent[connection.socket.send(connection.unsent) :]
    events = selectors.EVENT_READ | (selectors.EVENT_WRITE if connection.unsent else 0)
    if selector.get_key(connection.socket).events != events:
        selector.modify(connection.socket, events, connection)


def _receive(connection: _Connection) -> bytes | None:
    """The body of a complete answer; None while some of it is missing."""
    try:
        data = connection.socket.recv(RECEIVE_BYTES)
    except BlockingIOError:
        return None
    if not data:
        raise PeerError("the server closed a connection that should stay open")
    connection.received += data
    answer = split_answer(connection.received)
    if answer is None:
        return None
    status, body = answer
    if status != 200:
        raise PeerError(f"status {status}: {body[:300].decode(errors='replace')}")
    return body
