"""gRPC for the blocking client."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import grpc
from tritonclient.grpc import service_pb2_grpc

from ..connection import Connection
from ..errors import ErnieTritonError
from ..lookup import IsLive, IsReady, Query, answer_without_model
from ..replies import Reply
from ..wire import ModelRequest
from . import grpc_calls as calls


class GrpcPending:
    """A call in flight; see replies.Pending."""

    def __init__(self, request: ModelRequest, future: Any, connection: Connection) -> None:
        self._request, self._future, self._connection = request, future, connection

    def result(self) -> list[Reply]:
        """Wait for the call; one reply a row."""
        try:
            response = self._future.result()
        except grpc.RpcError as error:
            raise calls.translated(error, self._connection, self._request.timeout) from None
        except grpc.FutureCancelledError:
            raise ErnieTritonError("the request was cancelled") from None
        return calls.infer_replies(self._request, response)

    def cancel(self) -> None:
        """Stop waiting for it; the server hears of it."""
        self._future.cancel()


class GrpcTransport:
    """A gRPC channel to one server."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        options, secure = calls.channel_options(connection), calls.credentials(connection)
        self._channel = (
            grpc.insecure_channel(connection.address, options)
            if secure is None
            else grpc.secure_channel(connection.address, secure, options)
        )
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def send(self, request: ModelRequest) -> GrpcPending:
        """Start a call, and return at once."""
        message = calls.infer_message(request)
        try:
            with uninterrupted():
                future = self._stub.ModelInfer.future(
                    message,
                    timeout=request.timeout,
                    metadata=calls.metadata(self._connection, request),
                    wait_for_ready=self._connection.wait_for_ready,
                )
        except ValueError as error:  # the channel is closed
            raise calls.translated(error, self._connection, request.timeout) from None
        return GrpcPending(request, future, self._connection)

    def ask(self, query: Query) -> Any:
        """The answer to a query."""
        method, message = calls.query_message(query)
        try:
            response = getattr(self._stub, method)(
                message,
                timeout=self._connection.timeout,
                metadata=calls.metadata(self._connection),
                wait_for_ready=self._connection.wait_for_ready and not isinstance(query, IsReady | IsLive),
            )
        except (grpc.RpcError, ValueError) as failure:
            error = calls.translated(failure, self._connection, self._connection.timeout)
            return answer_without_model(query, error)
        return calls.query_answer(query, response)

    def close(self) -> None:
        """Close the channel."""
        self._channel.close()


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C until the block ends: while it starts a call, gRPC would lose count of its calls and hang."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: received.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(*received[-1])
