"""What the command line decides; workers get it through the environment, as uvicorn starts them by name."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass

from ernie_triton.gathering import Gathering

VARIABLE = "ERNIE_GATEWAY_SETTINGS"
TRITON_KEY = "ERNIE_GATEWAY_TRITON_KEY"
"""HEADER=VALUE that opens Triton's restricted protocols: not an option, since everybody sees a process's arguments."""


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Of one gateway, for all its workers."""

    url: str = "127.0.0.1:8001"
    """host:port of Triton's gRPC port."""
    timeout: float = 60.0
    """Seconds that Triton may take for a request; then the caller gets 504."""
    max_body: int = 8 * 2**20
    """Bytes of a body, or of one line of a streamed body; more gets 413."""
    max_items: int = 1024
    """Items of a request; more gets 413. A streamed body has no such limit."""
    max_requests: int = 256
    """Requests that one worker has in hand; more get 429."""
    body_timeout: float = 30.0
    """Seconds in which a body, or the next part of a streamed one, must arrive; then 408."""
    gather: int = Gathering.in_flight
    """Requests for a model that are at Triton before others wait and go together; 0: each goes alone, at once."""
    keys_file: str | None = None
    """File of API keys; None: anybody may ask."""
    rates_folder: str | None = None
    """Where workers share how much each key has asked; None: this one is alone."""
    grpc_host: str = "127.0.0.1"
    grpc_port: int | None = None
    """Where the gRPC proxy listens; None: nowhere."""
    tls_certificate: str | None = None
    """PEM file of the proxy's certificate, and of its key; the gateway itself gets them from its command."""
    tls_key: str | None = None
    private_metrics: bool = False
    """/metrics and /openapi.json need a key, too."""
    triton_headers: tuple[tuple[str, str], ...] = ()
    """Sent with each request to Triton, whose APIs may be restricted by a key."""
    origins: tuple[str, ...] = ()
    """Origins whose pages may ask from a browser (CORS)."""
    trace: str = ""
    """Where spans are posted (ernie_runtime.collector); empty: nowhere."""
    trace_every: int = 1
    """One request of so many is traced; besides those whose caller asks for it."""
    log_texts: bool = False
    """Log the body of each request."""

    def to_environment(self) -> None:
        """For the workers."""
        os.environ[VARIABLE] = json.dumps(asdict(self))

    @classmethod
    def from_environment(cls) -> Settings:
        """What `to_environment` wrote."""
        values = json.loads(os.environ[VARIABLE])
        headers = tuple((name, value) for name, value in values["triton_headers"])
        return cls(**{**values, "origins": tuple(values["origins"]), "triton_headers": headers})


def triton_headers() -> tuple[tuple[str, str], ...]:
    """The header for Triton's restricted protocols, from the environment."""
    name, separator, value = os.environ.get(TRITON_KEY, "").partition("=")
    return ((f"triton-grpc-protocol-{name.lower()}", value),) if separator else ()
