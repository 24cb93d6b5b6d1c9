"""gRPC for the asyncio client."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from tritonclient.grpc import service_pb2_grpc

from ..connection import Connection
from ..errors import ErnieTritonError
from ..lookup import IsLive, IsReady, Query, answer_without_model
from ..replies import Reply
from ..wire import ModelRequest
from . import grpc_calls as calls

_FAILURES = (grpc.RpcError, grpc.aio.UsageError)


class AsyncGrpcPending:
    """A call in flight; see async_requests.AsyncPending."""

    def __init__(self, request: ModelRequest, call: Any, transport: AsyncGrpcTransport) -> None:
        self._request, self._call, self._transport = request, call, transport

    async def result(self) -> list[Reply]:
        """Wait for the call; one reply a row. If the waiting task is cancelled, so is the call."""
        try:
            response = await self._call
        except _FAILURES as error:
            raise calls.translated(error, self._transport.connection, self._request.timeout) from None
        except asyncio.CancelledError:
            if self._transport.closed:  # gRPC tells of both in the same way
                raise ErnieTritonError("the client was closed") from None
            self._call.cancel()
            raise
        return calls.infer_replies(self._request, response)

    def cancel(self) -> None:
        """Stop waiting for it; the server hears of it."""
        self._call.cancel()


class AsyncGrpcTransport:
    """A gRPC channel of the running event loop to one server."""

    def __init__(self, connection: Connection) -> None:
        self.connection, self.closed = connection, False
        options, secure = calls.channel_options(connection), calls.credentials(connection)
        self._channel = (
            grpc.aio.insecure_channel(connection.address, options)
            if secure is None
            else grpc.aio.secure_channel(connection.address, secure, options)
        )
        self._stub = service_pb2_grpc.GRPCInferenceServiceStub(self._channel)

    def send(self, request: ModelRequest) -> AsyncGrpcPending:
        """Start a call, and return at once."""
        message = calls.infer_message(request)
        try:
            call = self._stub.ModelInfer(
                message,
                timeout=request.timeout,
                metadata=calls.metadata(self.connection, request),
                wait_for_ready=self.connection.wait_for_ready,
            )
        except grpc.aio.UsageError as error:  # the channel is closed
            raise calls.translated(error, self.connection, request.timeout) from None
        return AsyncGrpcPending(request, call, self)

    async def ask(self, query: Query) -> Any:
        """The answer to a query."""
        method, message = calls.query_message(query)
        try:
            response = await getattr(self._stub, method)(
                message,
                timeout=self.connection.timeout,
                metadata=calls.metadata(self.connection),
                wait_for_ready=self.connection.wait_for_ready and not isinstance(query, IsReady | IsLive),
            )
        except _FAILURES as failure:
            error = calls.translated(failure, self.connection, self.connection.timeout)
            return answer_without_model(query, error)
        return calls.query_answer(query, response)

    async def close(self) -> None:
        """Close the channel."""
        self.closed = True
        await self._channel.close()
