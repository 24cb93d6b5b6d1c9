"""The proxy as a part of a worker of the gateway: it listens as long as that runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import grpc
import grpc.aio

from ..certificates import credentials
from ..settings import Settings
from ..stopping import Stopping
from .service import Service
from .upstream import Upstream

GRACE_SECONDS = 30.0
IDLE_MS = 300_000
METADATA_BYTES = 16 * 2**10
ONLY_UNCOMPRESSED = 1  # a set of bits: gRPC does not bound what a compressed message becomes


@asynccontextmanager
async def listening(settings: Settings, stopping: Stopping) -> AsyncIterator[int]:
    """Listen on settings.grpc_port; gives the port. OSError where it is taken.

    stopping: once it has begun, new calls are refused.
    """
    server = grpc.aio.server(
        maximum_concurrent_rpcs=settings.max_requests,
        options=[
            ("grpc.max_receive_message_length", settings.max_body),
            ("grpc.max_metadata_size", METADATA_BYTES),
            ("grpc.absolute_max_metadata_size", METADATA_BYTES),
            ("grpc.max_connection_idle_ms", IDLE_MS),
            ("grpc.max_concurrent_streams", settings.max_requests),
            ("grpc.compression_enabled_algorithms_bitset", ONLY_UNCOMPRESSED),
            ("grpc.so_reuseport", 1),  # for the other workers; the command has seen that nobody else is there
        ],
    )
    upstream = Upstream(settings)
    server.add_generic_rpc_handlers((Service(settings, upstream),))
    host = f"[{settings.grpc_host}]" if ":" in settings.grpc_host else settings.grpc_host
    address = f"{host}:{settings.grpc_port}"
    try:
        if settings.tls_certificate and settings.tls_key:
            port = server.add_secure_port(address, credentials(settings.tls_certificate, settings.tls_key))
        else:
            port = server.add_insecure_port(address)
        await server.start()
        ending = asyncio.create_task(_stop_at(stopping, server))
        try:
            yield port
        finally:
            stopping.event.set()
            await ending  # not a second `stop` beside it, which may wait for ever
    finally:
        await upstream.close()


async def _stop_at(stopping: Stopping, server: grpc.aio.Server) -> None:
    """Refuse new calls (UNAVAILABLE) when the worker is told to end; uvicorn ends this block when HTTP has finished."""
    await stopping.event.wait()
    await server.stop(GRACE_SECONDS)
