"""HTTP for the blocking client: a thread for each request in flight."""

from __future__ import annotations

import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor
from typing import Any

import httpx

from ..connection import Connection
from ..errors import ErnieTritonError
from ..lookup import Query, answer_without_model
from ..replies import Reply
from ..wire import ModelRequest
from . import http_calls as calls

THREADS = 32


class HttpPending:
    """A request in flight; see replies.Pending."""

    def __init__(self, future: Future[list[Reply]]) -> None:
        self._future = future

    def result(self) -> list[Reply]:
        """Wait for the request; one reply a row."""
        try:
            return self._future.result()
        except CancelledError:
            raise ErnieTritonError("the client is closed") from None

    def cancel(self) -> None:
        """Drop the request if it has not been sent; else its answer."""
        self._future.cancel()


class HttpTransport:
    """Connections to one server, kept open between requests."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._client = httpx.Client(**calls.client_options(connection))
        self._threads = ThreadPoolExecutor(THREADS, "ernie-triton-http")

    def send(self, request: ModelRequest) -> HttpPending:
        """Start a request, and return at once."""
        try:
            return HttpPending(self._threads.submit(self._infer, request))
        except RuntimeError:
            raise ErnieTritonError("the client is closed") from None

    def ask(self, query: Query) -> Any:
        """The answer to a query."""
        try:
            return calls.query_answer(query, self._call(calls.query_call(query, self._connection.timeout)))
        except ErnieTritonError as error:
            return answer_without_model(query, error)

    def close(self) -> None:
        """Close the connections."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        self._client.close()

    def _infer(self, request: ModelRequest) -> list[Reply]:
        return calls.infer_replies(request, self._call(calls.infer_call(request)))

    def _call(self, call: calls.HttpCall) -> httpx.Response:
        attempts = calls.attempts(call, self._connection)
        seconds = next(attempts)
        try:
            while True:
                if seconds < 0:
                    time.sleep(-seconds)
                    seconds = next(attempts)
                else:
                    seconds = attempts.send(self._attempt(call, seconds))
        except StopIteration as end:
            response: httpx.Response = end.value
            return response

    def _attempt(self, call: calls.HttpCall, seconds: float) -> httpx.Response | Exception:
        try:
            return self._client.request(
                call.method, call.path, content=call.content, headers=call.headers, timeout=seconds
            )
        except (httpx.TransportError, RuntimeError) as error:  # RuntimeError: the client is closed
            return error
