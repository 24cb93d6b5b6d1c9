"""An address and what answers there."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Match, Route
from starlette.types import Scope


class Address(Route):
    """Starlette's, which counters know by `scope["route"]`; older versions do not put it there."""

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Whether a request is for it, and what it adds to the request."""
        match, found = super().matches(scope)
        return match, {**found, "route": self}


def get(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Address:
    """For GET, and HEAD."""
    return Address(path, endpoint, methods=["GET"])


def post(path: str, endpoint: Callable[[Request], Awaitable[Response]]) -> Address:
    """For POST."""
    return Address(path, endpoint, methods=["POST"])
