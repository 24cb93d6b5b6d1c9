"""A connection that sends requests of several callers as one; what goes with what is decided in gathering.py."""

from __future__ import annotations

import asyncio
import copy
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from ..connection import Connection
from ..errors import ErnieTritonError, ServerError
from ..gathering import Gatherer, Gathering, Group, may_wait
from ..replies import Refused, Reply, translate
from ..wire import ModelRequest

MOMENT = 0.001  # seconds: a deadline that is over is still to be sent as one

if TYPE_CHECKING:
    from ..async_requests import AsyncPending
    from ..lookup import Query
    from . import AsyncTransport


class GatheredPending:
    """One caller's request, alone or among others; see async_requests.AsyncPending."""

    def __init__(self, request: ModelRequest, leave: Callable[[GatheredPending], None], url: str) -> None:
        loop = asyncio.get_running_loop()
        self.request, self._leave, self._url = request, leave, url
        self.deadline = loop.time() + request.timeout
        self.carrier: asyncio.Task[None] | None = None
        self.group: Group[GatheredPending] | None = None
        self._timer = loop.call_at(self.deadline, self._expire)
        self._answer: asyncio.Future[list[Reply]] = loop.create_future()

    @property
    def is_wanted(self) -> bool:
        """Whether its caller waits."""
        return not self._answer.done()

    async def result(self) -> list[Reply]:
        """Wait for the replies, one a row. If the waiting task is cancelled, so is the request."""
        try:
            return await self._answer
        except asyncio.CancelledError:
            self.cancel()
            raise

    def cancel(self) -> None:
        """Stop waiting for it; what goes with it goes on."""
        self._answer.cancel()
        self._timer.cancel()
        self._leave(self)

    def resolve(self, answer: list[Reply] | Exception) -> None:
        """The answer, or the reason why there is none, for a caller that still waits."""
        self._timer.cancel()
        if not self.is_wanted:
            return
        if isinstance(answer, Exception):
            self._answer.set_exception(answer)
            self._answer.exception()  # nobody need ask for it
        else:
            self._answer.set_result(answer)

    def _expire(self) -> None:
        self.resolve(translate("DEADLINE_EXCEEDED", "", self._url, self.request.timeout))
        self._leave(self)


class GatheringTransport:
    """An AsyncTransport over another one."""

    def __init__(self, transport: AsyncTransport, connection: Connection, gathering: Gathering) -> None:
        self._transport, self._url, self._observe = transport, connection.url, gathering.observe
        self._gatherer: Gatherer[GatheredPending] = Gatherer(gathering.in_flight)
        self._carriers: set[asyncio.Task[None]] = set()
        self._will_flush = False

    def send(self, request: ModelRequest) -> AsyncPending:
        """Let a request go with others, or at once where it has no room for them."""
        if not may_wait(request):
            return self._send(request)
        pending = GatheredPending(request, self._left, self._url)
        self._gatherer.add(pending)
        if not self._will_flush:  # once everybody whom this turn of the loop wakes has asked
            self._will_flush = True
            asyncio.get_running_loop().call_soon(self._flush)
        return pending

    async def ask(self, query: Query) -> Any:
        """The answer to a query."""
        return await self._transport.ask(query)

    async def close(self) -> None:
        """Close the connection; what waits and what is in flight fails."""
        await self._transport.close()

    def _send(self, request: ModelRequest) -> AsyncPending:
        if self._observe is not None:
            self._observe(request.model, len(request.rows))
        return self._transport.send(request)

    def _flush(self) -> None:
        self._will_flush = False
        loop = asyncio.get_running_loop()
        for group in self._gatherer.ready():
            try:
                pending = self._send(group.request(_rest(loop, *group.entries)))
            except ErnieTritonError as error:  # the client is closed
                self._gatherer.answered(group)
                for entry in group.entries:
                    entry.resolve(copy.copy(error))
                continue
            carrier = loop.create_task(self._carry(group, pending))
            self._carriers.add(carrier)
            carrier.add_done_callback(self._carriers.discard)
            for entry in group.entries:
                entry.group, entry.carrier = group, carrier

    def _left(self, entry: GatheredPending) -> None:
        """A caller has gone; a request that nobody waits for is cancelled."""
        if entry.group is None or entry.carrier is None:
            self._gatherer.remove(entry)
        elif not any(other.is_wanted for other in entry.group.entries):
            entry.carrier.cancel()

    async def _carry(self, group: Group[GatheredPending], pending: AsyncPending) -> None:
        """Give each caller of a group its replies; where one of them may have spoilt it, ask for each alone."""
        try:
            try:
                replies = await pending.result()
            except (Refused, ServerError):
                if len(group.entries) == 1:
                    raise
                await self._ask_apart(group.entries)
                return
            start = 0
            for entry in group.entries:
                end = start + len(entry.request.rows)
                entry.resolve(replies[start:end])
                start = end
        except Exception as error:  # whatever it is: nobody may wait for ever
            for entry in group.entries:
                entry.resolve(copy.copy(error))
        finally:
            self._gatherer.answered(group)
            self._flush()

    async def _ask_apart(self, entries: Sequence[GatheredPending]) -> None:
        """One of them has spoilt the request, or none: each gets what it would have got alone."""
        loop = asyncio.get_running_loop()
        sent: list[tuple[GatheredPending, AsyncPending]] = []
        try:
            for entry in entries:
                if entry.is_wanted:
                    sent.append((entry, self._send(replace(entry.request, timeout=_rest(loop, entry)))))
            for entry, pending in sent:
                try:
                    entry.resolve(await pending.result())
                except ErnieTritonError as error:
                    entry.resolve(error)
        finally:
            for _, pending in sent:
                pending.cancel()


def _rest(loop: asyncio.AbstractEventLoop, *entries: GatheredPending) -> float:
    """Seconds until the last of them has no more time."""
    return max(MOMENT, max(entry.deadline for entry in entries) - loop.time())
