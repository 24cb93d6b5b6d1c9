"""HTTP for the asyncio client: a task for each request in flight."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx

from ..connection import Connection
from ..errors import ErnieTritonError
from ..lookup import Query, answer_without_model
from ..replies import Reply
from ..wire import ModelRequest
from . import http_calls as calls


class AsyncHttpPending:
    """A request in flight; see async_requests.AsyncPending."""

    def __init__(self, task: asyncio.Task[list[Reply]]) -> None:
        self._task = task

    async def result(self) -> list[Reply]:
        """Wait for the request; one reply a row. If the waiting task is cancelled, so is the request."""
        try:  # `await self._task` could lose a cancellation that comes together with the answer
            await asyncio.wait({self._task})
        except asyncio.CancelledError:
            self._task.cancel()
            raise
        return self._task.result()

    def cancel(self) -> None:
        """Stop waiting for it; the connection is closed, and so the server hears of it."""
        self._task.cancel()


class AsyncHttpTransport:
    """Connections of the running event loop to one server, kept open between requests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = httpx.AsyncClient(**calls.client_options(connection))

    def send(self, request: ModelRequest) -> AsyncHttpPending:
        """Start a request, and return at once."""
        return AsyncHttpPending(asyncio.ensure_future(self._infer(request)))

    async def ask(self, query: Query) -> Any:
        """The answer to a query."""
        try:
            return calls.query_answer(query, await self._call(calls.query_call(query, self._connection.timeout)))
        except ErnieTritonError as error:
            return answer_without_model(query, error)

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _infer(self, request: ModelRequest) -> list[Reply]:
        return calls.infer_replies(request, await self._call(calls.infer_call(request)))

    async def _call(self, call: calls.HttpCall) -> httpx.Response:
        attempts = calls.attempts(call, self._connection)
        seconds = next(attempts)
        try:
            while True:
                if seconds < 0:
                    await asyncio.sleep(-seconds)
                    seconds = next(attempts)
                else:
                    seconds = attempts.send(await self._attempt(call, seconds))
        except StopIteration as end:
            response: httpx.Response = end.value
            return response

    async def _attempt(self, call: calls.HttpCall, seconds: float) -> httpx.Response | Exception:
        request = asyncio.ensure_future(
            self._client.request(call.method, call.path, content=call.content, headers=call.headers, timeout=seconds)
        )
        try:  # not wait_for, which loses cancellations before Python 3.12
            await asyncio.wait({request}, timeout=seconds)
            return request.result() if request.done() else httpx.ReadTimeout("")
        except (httpx.TransportError, RuntimeError) as error:  # RuntimeError: the client is closed
            return error
        finally:
            request.cancel()
