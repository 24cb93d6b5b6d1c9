"""Requests in flight: order, read-ahead, and which texts fail with a whole request."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Sequence
from contextlib import aclosing
from typing import Any

import pytest

from ernie_triton.async_requests import as_async, drive_async
from ernie_triton.errors import ServerError, ServerUnavailable
from ernie_triton.items import Row
from ernie_triton.replies import Refused, Reply
from ernie_triton.requests import IN_FLIGHT, IN_FLIGHT_BYTES, Outcome, exchange, resolve, send_bounded


class Server:
    """Answers a row with its own text; `crash` fails a request whole with no reason, `empty` refuses it."""

    def __init__(self) -> None:
        self.requests: list[list[bytes]] = []
        self.waiting = self.most = self.cancelled = 0
        self.down = False

    def send(self, rows: Sequence[Row]) -> Any:
        self.requests.append([row[0] for row in rows])
        self.waiting += 1
        self.most = max(self.most, self.waiting)
        return Request(self, [row[0] for row in rows])

    def ask(self, rows: Sequence[Row]) -> list[Outcome]:
        return list(self.send(rows).result())


class Request:
    def __init__(self, server: Server, texts: list[bytes]) -> None:
        self.server, self.texts = server, texts

    def result(self) -> list[Reply]:
        self.server.waiting -= 1
        if self.server.down:
            raise ServerUnavailable("gone")
        if any(text.startswith(b"crash") for text in self.texts):
            raise ServerError("internal error")
        if all(text == b"empty" for text in self.texts):
            raise Refused("; ".join(f"item {i}: the text is empty" for i in range(len(self.texts))))
        if len(self.texts) > 2 and b"large" in self.texts:
            raise Refused("the request needs 2,000 windows, at most 1,024: send fewer texts at once")
        error_result = {"error": {"message": "item 1: bad"}}
        return [Reply(error_result if text == b"empty" else {"text": text.decode()}) for text in self.texts]

    def cancel(self) -> None:
        self.server.cancelled += 1


def rows(*texts: str) -> list[Row | str]:
    return [(text.encode(),) for text in texts]


def texts_or_reasons(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome if isinstance(outcome, str) else outcome.raw["text"] for outcome in outcomes]


VALID_ROW: Row = (b"good",)


def test_outcomes_come_in_order_with_reasons_between() -> None:
    server = Server()
    entries = [*rows("a", "b"), "no str", *rows("c", "empty", "d")]
    assert texts_or_reasons(list(send_bounded(server.send, entries, 2))) == ["a", "b", "no str", "c", "bad", "d"]
    assert server.requests == [[b"a", b"b"], [b"c"], [b"empty", b"d"]]


def test_requests_in_flight_and_texts_read_ahead_are_bounded() -> None:
    server, rows_read = Server(), 0

    def entries() -> Iterator[Row]:
        nonlocal rows_read
        for n in range(1000):
            rows_read += 1
            yield (str(n).encode(),)

    outcomes = send_bounded(server.send, entries(), 4)
    assert texts_or_reasons([next(outcomes)]) == ["0"]
    assert rows_read == (IN_FLIGHT + 1) * 4
    assert texts_or_reasons(list(outcomes)) == [str(n) for n in range(1, 1000)]
    assert server.most == IN_FLIGHT


def test_long_texts_wait_for_each_other() -> None:
    server = Server()
    large = "x" * (IN_FLIGHT_BYTES // 2)
    assert len(list(send_bounded(server.send, rows(*[large] * 6), 1))) == 6
    assert server.most == 2


def test_bad_lines_alone_ask_nothing() -> None:
    server = Server()
    assert list(send_bounded(server.send, ["why"] * 50, 8)) == ["why"] * 50
    assert server.requests == []


def test_a_refused_request_is_asked_again_in_halves() -> None:
    server = Server()
    assert texts_or_reasons(resolve(rows("a", "b", "large", "c", "d"), server.ask)) == ["a", "b", "large", "c", "d"]
    assert texts_or_reasons(resolve(rows("empty", "empty"), server.ask)) == ["the text is empty"] * 2


def test_a_text_that_makes_the_server_fail_is_lost_alone() -> None:
    server = Server()
    texts = [*"abcde", "crash", *"fgh"]
    outcomes = texts_or_reasons(resolve(rows(*texts), server.ask, known_good=VALID_ROW))
    assert outcomes == [*"abcde", "internal error", *"fgh"]
    assert texts_or_reasons(resolve(rows("crash"), server.ask, known_good=VALID_ROW)) == ["internal error"]


def test_a_server_that_always_fails_is_not_the_texts_fault() -> None:
    server = Server()
    with pytest.raises(ServerError, match="internal error"):
        resolve(rows("crash", "b"), server.ask, known_good=(b"crash too",))
    with pytest.raises(ServerError):
        resolve(rows("crash", "b"), server.ask)


def test_a_lost_server_ends_the_run_and_leaves_nothing_in_flight() -> None:
    server = Server()
    outcomes = send_bounded(server.send, rows(*"abcdefghij"), 1, VALID_ROW)
    assert texts_or_reasons([next(outcomes)]) == ["a"]
    server.down = True
    with pytest.raises(ServerUnavailable):
        list(outcomes)
    assert server.cancelled == IN_FLIGHT


def test_a_caller_that_stops_reading_cancels_its_requests() -> None:
    server = Server()
    outcomes = send_bounded(server.send, rows(*"abcdefghij"), 1)
    next(outcomes)
    outcomes.close()  # type: ignore[attr-defined]
    assert server.cancelled == IN_FLIGHT


class AsyncRequest(Request):
    async def result(self) -> list[Reply]:  # type: ignore[override]
        await asyncio.sleep(0)
        return super().result()


class AsyncServer(Server):
    def send(self, rows: Sequence[Row]) -> Any:
        super().send(rows)
        return AsyncRequest(self, [row[0] for row in rows])


def test_asyncio_takes_the_same_steps() -> None:
    """Order, reasons, the guilty text alone; what is closed early is cancelled."""

    async def ask(server: AsyncServer, entries: list[Row | str], known_good: Row | None) -> list[Outcome]:
        return [o async for o in drive_async(exchange(2, known_good), server.send, as_async(entries))]

    entries = [*rows("a", "b"), "no str", *rows("c", "d", "empty", "e", "crash", "f")]
    outcomes = asyncio.run(ask(AsyncServer(), entries, VALID_ROW))
    assert texts_or_reasons(outcomes) == ["a", "b", "no str", "c", "d", "bad", "e", "internal error", "f"]
    with pytest.raises(ServerError, match="internal error"):
        asyncio.run(ask(AsyncServer(), entries, None))

    async def leave(server: AsyncServer) -> None:
        outcomes = drive_async(exchange(1), server.send, as_async(rows(*"abcdefghij")))
        async with aclosing(outcomes):
            await anext(outcomes)

    server = AsyncServer()
    asyncio.run(leave(server))
    assert server.cancelled == IN_FLIGHT
