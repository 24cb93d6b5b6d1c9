"""Where a server is and how to reach it: address, Certificates, headers, deadlines, retries."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from .errors import ErnieTritonError, ServerUnavailable

_SCHEMES = {"grpc": False, "grpcs": True, "http": False, "https": True}
"""Schemes of addresses, and whether TLS is used."""


@dataclass(frozen=True, kw_only=True)
class Retry:
    """How often a request is sent again where the server cannot take it now (UNAVAILABLE, HTTP 503, no connection).

    The waits are random, on average `first` seconds, then `multiplier` times longer each time, up to `longest`. All
    attempts together stay within the request's timeout.
    """

    attempts: int = 4  # in all, 1 to 5, gRPC's limit; 1: no retries
    first: float = 0.1  # seconds
    longest: float = 2.0  # seconds
    multiplier: float = 2.0

    def __post_init__(self) -> None:
        if not 1 <= self.attempts <= 5:
            raise ValueError(f"attempts is {self.attempts}; it must be 1 to 5")
        if not 0 < self.first <= self.longest or self.multiplier < 1:
            raise ValueError("a retry needs 0 < first <= longest, and a multiplier of at least 1")

    def waits(self) -> Iterator[float]:
        """Seconds to wait before each further attempt, as gRPC chooses them: 0.8 to 1.2 times the exact wait."""
        import random  # only here: it loads a lot

        wait = self.first
        for _ in range(self.attempts - 1):
            yield wait * random.uniform(0.8, 1.2)
            wait = min(wait * self.multiplier, self.longest)


@dataclass(frozen=True, kw_only=True)
class Certificates:
    """Certificates, as PEM files. ca: who signed the server's, if not an authority that the system knows.

    certificate, key: the client's own, where the server asks for one.
    """

    ca: str | Path | None = None
    certificate: str | Path | None = None
    key: str | Path | None = None

    def __post_init__(self) -> None:
        if (self.certificate is None) != (self.key is None):
            raise ValueError("a client's certificate and its key go together")
        for path in (self.ca, self.certificate, self.key):
            if path is not None and not Path(path).is_file():
                raise ErnieTritonError(f"there is no file {path}")


@dataclass(frozen=True, kw_only=True)
class Connection:
    """A server and how to talk to it."""

    protocol: str  # grpc or http
    host: str
    port: int
    tls: Certificates | None
    timeout: float  # seconds, of each request
    retry: Retry
    wait_for_ready: bool  # gRPC: wait for a server that is not there, up to the timeout
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def url(self) -> str:
        """For messages, and HTTP's base."""
        secure = "s" if self.tls else ""
        return self.address if self.protocol == "grpc" else f"http{secure}://{self.address}"

    @property
    def address(self) -> str:
        """host:port, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def is_loopback(self) -> bool:
        """Whether the server is on this machine, where no proxy is asked."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"


def connection(
    url: str,
    *,
    timeout: float,
    retry: Retry | None = None,
    tls: Certificates | bool | None = None,
    api_key: str | None = None,
    headers: Mapping[str, str] | None = None,
    wait_for_ready: bool = False,
) -> Connection:
    """Checked settings; ServerUnavailable where `url` is no address. See `Client` for the arguments."""
    scheme, separator, _ = url.partition("://")
    try:
        parts = urlsplit(url if separator else f"grpc://{url}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    known = not separator or scheme in _SCHEMES
    if not known or not host or port is None or parts.path.strip("/") or parts.query or parts.username:
        raise ServerUnavailable(
            f"{url!r} is not the host:port of a gRPC server, such as 127.0.0.1:8001, nor http://host:port"
        )
    if timeout <= 0:
        raise ValueError(f"timeout is {timeout}; it must be more than 0 seconds")
    secure = _SCHEMES[parts.scheme] or bool(tls)
    authorization = {"authorization": f"Bearer {api_key}"} if api_key is not None else {}
    return Connection(
        protocol=parts.scheme.rstrip("s"),
        host=host,
        port=port,
        tls=(tls if isinstance(tls, Certificates) else Certificates()) if secure else None,
        timeout=timeout,
        retry=retry or Retry(),
        wait_for_ready=wait_for_ready,
        headers={**authorization, **{name.lower(): value for name, value in (headers or {}).items()}},
    )
