"""The methods of KServe's gRPC service that pass: health, and the metadata, configuration and inference of tasks."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import grpc
import grpc.aio
from google.protobuf.message import DecodeError
from tritonclient.grpc import service_pb2

from ernie_triton.transports.grpc_calls import SERVICE

from .. import measures
from ..keys import NOBODY, Keys
from ..log import event
from ..problems import Problem, cut
from ..rates import Rates
from ..settings import Settings
from . import rules
from .upstream import Upstream

HEALTH = "/grpc.health.v1.Health/Check"
SERVING, NOT_SERVING = b"\x08\x01", b"\x08\x02"  # grpc.health.v1.HealthCheckResponse
OPEN = ("ServerLive", "ServerReady")  # need no key
PASSED = ("ModelReady", "ModelMetadata", "ModelConfig", "ModelStatistics", "ModelInfer")
METHODS = {method.name: method for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods}
STATUSES = {
    400: grpc.StatusCode.INVALID_ARGUMENT,
    401: grpc.StatusCode.UNAUTHENTICATED,
    404: grpc.StatusCode.NOT_FOUND,
    408: grpc.StatusCode.DEADLINE_EXCEEDED,
    413: grpc.StatusCode.INVALID_ARGUMENT,
    429: grpc.StatusCode.RESOURCE_EXHAUSTED,
    501: grpc.StatusCode.UNIMPLEMENTED,
}


class Service(grpc.GenericRpcHandler):  # type: ignore[misc]
    """One worker's. Who may not ask is refused before the message is read, which could be long in coming."""

    def __init__(self, settings: Settings, upstream: Upstream) -> None:
        self._settings, self._upstream = settings, upstream
        self._keys = Keys(Path(settings.keys_file)) if settings.keys_file else None
        self._rates = Rates(settings.rates_folder)

    def service(self, handler_call_details: Any) -> Any:
        """The behaviour for a method; None for a method that there is not."""
        path: str = handler_call_details.method
        if path == HEALTH:
            return grpc.unary_unary_rpc_method_handler(self._health)
        prefix, _, name = path.lstrip("/").partition("/")
        if prefix != SERVICE or name not in METHODS:
            return None
        metadata = handler_call_details.invocation_metadata or ()
        call = _Call(name, {key: value for key, value in metadata if isinstance(value, str)})

        async def answer(messages: AsyncIterator[bytes], context: Any) -> bytes:
            return await self._answer(call, messages, context)

        return grpc.stream_unary_rpc_method_handler(answer)

    async def _health(self, message: bytes, context: Any) -> bytes:
        try:
            answer = await self._upstream.call("ServerReady", b"", context.time_remaining())
        except grpc.aio.AioRpcError:
            return NOT_SERVING
        return SERVING if service_pb2.ServerReadyResponse.FromString(answer).ready else NOT_SERVING

    async def _answer(self, call: _Call, messages: AsyncIterator[bytes], context: Any) -> bytes:
        measures.IN_HAND.inc()
        peer = context.peer()  # later it may not be known
        try:
            return await self._pass(call, messages, context)
        except Problem as problem:
            call.code, call.status = problem.code, STATUSES[problem.status]
            details = cut(problem.message)
        except grpc.aio.AioRpcError as error:  # Triton's own refusal
            call.status, details = error.code(), _without_address(error)
        except asyncio.CancelledError:
            call.status = grpc.StatusCode.CANCELLED
            raise
        except Exception as error:
            call.status, details = grpc.StatusCode.INTERNAL, "the proxy failed; its log has the reason"
            event("failure", request_id=call.request_id, path=call.method, error=repr(error))
        finally:
            measures.IN_HAND.dec()
            call.record(peer)
        await context.abort(call.status, details)
        raise AssertionError("abort raises")

    async def _pass(self, call: _Call, messages: AsyncIterator[bytes], context: Any) -> bytes:
        method = call.method
        if method in OPEN:
            return await self._upstream.call(method, b"", context.time_remaining())
        key = self._keys.of(call.headers.get("authorization")) if self._keys is not None else NOBODY
        call.key = key.name
        if method not in PASSED:
            raise Problem(501, "closed", f"{method} does not pass this proxy; {', '.join((*OPEN, *PASSED))} do")
        allowance = self._rates.admit(key)
        request = _parse(method, await self._message(messages))
        if method == "ModelStatistics":
            return await self._names(request)
        if method == "ModelInfer":
            name, call.items = request.model_name, rules.check(request, self._settings)
        else:
            name = request.name
            rules.check_version(request.version)
        await self._upstream.check_task(name)
        call.task = name
        allowance.ask(call.items)
        trace = [("traceparent", call.headers["traceparent"])] if "traceparent" in call.headers else []
        return await self._upstream.call(method, request.SerializeToString(), context.time_remaining(), trace)

    async def _message(self, messages: AsyncIterator[bytes]) -> bytes:
        """The message of a call; Problem where it does not come in time."""
        try:
            return await asyncio.wait_for(anext(messages), self._settings.body_timeout)
        except StopAsyncIteration:
            raise Problem(400, "bad_message", "the call has no message") from None
        except (asyncio.TimeoutError, TimeoutError):
            message = f"the message did not arrive within {self._settings.body_timeout:g} s"
            raise Problem(408, "body_timeout", message) from None

    async def _names(self, request: Any) -> bytes:
        """The tasks' names, in the shape of their statistics, without any: clients list models by it."""
        names = await self._upstream.task_names()
        response = service_pb2.ModelStatisticsResponse()
        for name in names if not request.name else [name for name in names if name == request.name]:
            response.model_stats.add(name=name)
        return bytes(response.SerializeToString())


class _Call:
    """One call, for the log and the counters."""

    def __init__(self, method: str, headers: Mapping[str, str]) -> None:
        self.method, self.headers, self.request_id = method, headers, secrets.token_hex(8)
        self._began = time.perf_counter()
        self.key = self.task = self.code = ""
        self.items = 0
        self.status = grpc.StatusCode.OK

    def record(self, peer: str) -> None:
        """Count and log it."""
        seconds = time.perf_counter() - self._began
        route = f"grpc/{self.method}"
        measures.REQUESTS.labels(route, self.task, self.status.name).inc()
        measures.SECONDS.labels(route).observe(seconds)
        if self.items:
            measures.ITEMS.labels(self.task).inc(self.items)
        if self.method in OPEN:
            return
        event(
            "request",
            request_id=self.request_id,
            method="gRPC",
            path=self.method,
            status=self.status.name,
            ms=round(seconds * 1000, 2),
            task=self.task,
            items=self.items,
            key=self.key,
            client=peer,
            code=self.code,
        )


def _without_address(error: grpc.aio.AioRpcError) -> str:
    """What Triton says; where it is not there gRPC says where it should be, which is nobody's business."""
    details = cut(error.details() or "")
    is_away = error.code() is grpc.StatusCode.UNAVAILABLE and ("ipv4:" in details or "ipv6:" in details)
    return "the server is not ready: it does not answer the proxy" if is_away else details


def _parse(method: str, message: bytes) -> Any:
    """The message, without fields that this version does not know."""
    try:
        request = getattr(service_pb2, f"{method}Request").FromString(message)
    except DecodeError:
        raise Problem(400, "bad_message", f"the message is no {method}Request") from None
    request.DiscardUnknownFields()
    return request
