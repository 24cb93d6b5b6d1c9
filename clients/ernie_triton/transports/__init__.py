"""Connections to a server: Triton's gRPC and its HTTP, each blocking and for asyncio.

Here are what the clients see of them and the choice; a protocol's library is imported only where it is used.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ..connection import Connection
from ..errors import ErnieTritonError

if TYPE_CHECKING:
    from ..async_requests import AsyncPending
    from ..gathering import Gathering
    from ..lookup import Query
    from ..replies import Pending
    from ..wire import ModelRequest

_T = TypeVar("_T")


class Transport(Protocol):
    """A blocking connection; threads may share it."""

    def send(self, request: ModelRequest) -> Pending:
        """Start a request, and return at once."""

    def ask(self, query: Query) -> Any:
        """The answer to a query of `lookup`."""

    def close(self) -> None:
        """Close the connection; what is in flight fails."""


class AsyncTransport(Protocol):
    """A connection of one event loop."""

    def send(self, request: ModelRequest) -> AsyncPending:
        """Start a request, and return at once."""

    async def ask(self, query: Query) -> Any:
        """The answer to a query of `lookup`."""

    async def close(self) -> None:
        """Close the connection; what is in flight fails."""


def connect(connection: Connection) -> Transport:
    """A blocking connection; nothing is sent yet."""
    if connection.protocol == "grpc":
        from .grpc_blocking import GrpcTransport

        return GrpcTransport(connection)
    return _http(lambda: _blocking_http(connection))


def connect_async(connection: Connection, gathering: Gathering | None = None) -> AsyncTransport:
    """A connection for the running event loop, which gathers requests where it is told how; nothing is sent yet."""
    transport = _asyncio(connection)
    if gathering is None:
        return transport
    from .gathered import GatheringTransport

    return GatheringTransport(transport, connection, gathering)


def _asyncio(connection: Connection) -> AsyncTransport:
    if connection.protocol == "grpc":
        from .grpc_asyncio import AsyncGrpcTransport

        return AsyncGrpcTransport(connection)
    return _http(lambda: _asyncio_http(connection))


def _blocking_http(connection: Connection) -> Transport:
    from .http_blocking import HttpTransport

    return HttpTransport(connection)


def _asyncio_http(connection: Connection) -> AsyncTransport:
    from .http_asyncio import AsyncHttpTransport

    return AsyncHttpTransport(connection)


def _http(make: Callable[[], _T]) -> _T:
    from ernie_runtime.install import install_hint

    try:
        return make()
    except ModuleNotFoundError as missing:
        if missing.name != "httpx":
            raise
        raise ErnieTritonError(
            f"an http:// address needs the Python package 'httpx'; the extra 'client-http' brings it: "
            f"{install_hint('client-http')}"
        ) from None
