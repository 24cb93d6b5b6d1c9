"""Triton behind the proxy: calls that pass on bytes, and which of its models are tasks."""

from __future__ import annotations

import time
from typing import Any

import grpc
import grpc.aio
from tritonclient.grpc import service_pb2

from ernie_runtime.names import MANIFEST_PARAMETER
from ernie_triton.connection import Retry, connection
from ernie_triton.transports.grpc_calls import SERVICE, channel_options, credentials

from ..problems import Problem
from ..settings import Settings

LONGEST_NAME = 256
KNOWN_SECONDS = 30.0  # for which a model that was a task is taken for one
NO_RETRY = Retry(attempts=1)


class Upstream:
    """A channel to Triton."""

    def __init__(self, settings: Settings) -> None:
        headers = dict(settings.triton_headers)
        place = connection(settings.url, timeout=settings.timeout, retry=NO_RETRY, headers=headers)
        secure, options = credentials(place), channel_options(place)
        self._channel = (
            grpc.aio.insecure_channel(place.address, options)
            if secure is None
            else grpc.aio.secure_channel(place.address, secure, options)
        )
        self._headers = tuple(place.headers.items())
        self._timeout = settings.timeout
        self._tasks: dict[str, float] = {}

    async def call(self, method: str, message: bytes, timeout: float | None, headers: Any = ()) -> bytes:
        """The answer to a call, as bytes; grpc.aio.AioRpcError. timeout: seconds that the caller waits at most."""
        call = self._channel.unary_unary(f"/{SERVICE}/{method}")
        seconds = min(self._timeout, max(0.0, timeout)) if timeout is not None else self._timeout
        answer: bytes = await call(message, timeout=seconds, metadata=(*self._headers, *headers))
        return answer

    async def check_task(self, name: str) -> None:
        """Problem 404 where a model is none that callers may ask: an ensemble, or a task in one process."""
        if time.monotonic() < self._tasks.get(name, 0.0):
            return
        if len(name) > LONGEST_NAME or not await self._is_task(name):
            raise Problem(404, "unknown_task", f"there is no task {name[:80]!r}")
        self._tasks[name] = time.monotonic() + KNOWN_SECONDS

    async def task_names(self) -> list[str]:
        """All models that callers may ask."""
        answer = await self.call("ModelStatistics", service_pb2.ModelStatisticsRequest().SerializeToString(), None)
        statistics = service_pb2.ModelStatisticsResponse.FromString(answer)
        names = sorted({model.name for model in statistics.model_stats})
        return [name for name in names if time.monotonic() < self._tasks.get(name, 0.0) or await self._is_task(name)]

    async def close(self) -> None:
        """Close the channel."""
        await self._channel.close()

    async def _is_task(self, name: str) -> bool:
        message = service_pb2.ModelConfigRequest(name=name).SerializeToString()
        try:
            answer = await self.call("ModelConfig", message, None)
        except grpc.aio.AioRpcError as error:
            if error.code() in (grpc.StatusCode.NOT_FOUND, grpc.StatusCode.INVALID_ARGUMENT):
                return False
            raise
        config = service_pb2.ModelConfigResponse.FromString(answer).config
        return config.platform == "ensemble" or MANIFEST_PARAMETER in config.parameters
