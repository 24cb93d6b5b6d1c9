"""Which requests go to the server as one, and what each caller gets of it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from ernie_triton.connection import connection
from ernie_triton.errors import ErnieTritonError, ServerError, ServerTimeout
from ernie_triton.gathering import Gathering
from ernie_triton.replies import Refused, Reply
from ernie_triton.transports.gathered import GatheringTransport
from ernie_triton.wire import ModelRequest


@dataclass(kw_only=True)
class Server:
    """An AsyncTransport that answers a row with its own text, once `gate` is open."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    requests: list[list[bytes]] = field(default_factory=list)
    cancelled: int = 0

    def send(self, request: ModelRequest) -> Pending:
        self.requests.append([row[0] for row in request.rows])
        return Pending(self, self.requests[-1])

    async def ask(self, query: object) -> None:
        raise NotImplementedError

    async def close(self) -> None:
        raise NotImplementedError


@dataclass(kw_only=False)
class Pending:
    server: Server
    texts: list[bytes]

    async def result(self) -> list[Reply]:
        try:
            await self.server.gate.wait()
        except asyncio.CancelledError:
            self.server.cancelled += 1
            raise
        if b"crash" in self.texts:
            raise ServerError("internal error")
        if set(self.texts) == {b"empty"}:
            raise Refused("item 0: the text is empty")
        return [Reply({"text": text.decode()}) for text in self.texts]

    def cancel(self) -> None:
        """Nothing is kept."""


def request(*texts: bytes, seconds: float = 30.0, priority: int = 0, trace: str = "") -> ModelRequest:
    return ModelRequest(
        model="echo",
        inputs=("TEXT",),
        rows=[(text,) for text in texts],
        most_rows=8,
        parameters={"priority": priority} if priority else {},
        headers={"traceparent": trace} if trace else {},
        timeout=seconds,
    )


async def outcomes(server: Server, *requests: ModelRequest, seconds: float = 0.0) -> list[list[str] | ErnieTritonError]:
    """What each caller gets; the server answers after `seconds`."""
    transport = GatheringTransport(server, connection("127.0.0.1:8001", timeout=30), Gathering(in_flight=1))

    async def ask(one: ModelRequest) -> list[str] | ErnieTritonError:
        try:
            return [reply.raw["text"] for reply in await transport.send(one).result()]
        except ErnieTritonError as error:
            return error

    first = asyncio.create_task(ask(request(b"first")))
    await asyncio.sleep(0.01)
    rest = [asyncio.create_task(ask(one)) for one in requests]
    await asyncio.sleep(0.01 + seconds)
    server.gate.set()
    assert await first == ["first"]
    return list(await asyncio.gather(*rest))


def test_what_waits_goes_together_and_each_gets_its_own() -> None:
    server = Server()
    texts = asyncio.run(outcomes(server, request(b"a"), request(b"b", b"c"), request(b"d")))
    assert texts == [["a"], ["b", "c"], ["d"]]
    assert server.requests == [[b"first"], [b"a", b"b", b"c", b"d"]]


def test_a_full_request_does_not_wait_and_other_parameters_and_traces_go_apart() -> None:
    server = Server()
    traced = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    many = [request(b"%d" % n) for n in range(9)]
    asyncio.run(outcomes(server, *many, request(b"bulk", priority=2), request(b"traced", trace=traced)))
    assert server.requests[0] == [b"first"]
    assert sorted(map(len, server.requests)) == [1, 1, 1, 1, 8]
    assert [b"bulk"] in server.requests and [b"traced"] in server.requests
    assert server.requests[-1] == [b"8"]


def test_a_bad_text_costs_no_other_its_answer() -> None:
    server = Server()
    good, bad, other = asyncio.run(outcomes(server, request(b"a"), request(b"crash"), request(b"b")))
    assert (good, other) == (["a"], ["b"])
    assert isinstance(bad, ServerError)
    refused = asyncio.run(outcomes(Server(), request(b"empty"), request(b"empty")))
    assert all(isinstance(one, Refused) for one in refused)


def test_each_keeps_its_own_deadline() -> None:
    late, good = asyncio.run(outcomes(Server(), request(b"a", seconds=0.02), request(b"b"), seconds=0.1))
    assert isinstance(late, ServerTimeout)
    assert good == ["b"]


def test_a_request_that_nobody_waits_for_is_cancelled() -> None:
    async def run(server: Server) -> None:
        transport = GatheringTransport(server, connection("127.0.0.1:8001", timeout=30), Gathering(in_flight=1))
        waiting = [asyncio.ensure_future(transport.send(request(text)).result()) for text in (b"a", b"b")]
        await asyncio.sleep(0.01)
        for task in waiting:
            assert server.cancelled == 0
            task.cancel()
            await asyncio.sleep(0.01)
        assert server.cancelled == 1

    asyncio.run(run(Server()))
