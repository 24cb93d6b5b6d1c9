"""What comes back from a request: a reply for each text, or the server's status as an error of this package."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ernie_runtime.json_types import Json

from .errors import AccessDenied, ErnieTritonError, ServerError, ServerOverloaded, ServerTimeout, ServerUnavailable

if TYPE_CHECKING:
    import numpy as np

_NO_SERVER = (
    "failed to connect",
    "errors resolving",
    "DNS resolution failed",
    "Socket closed",
    "Connection reset",
    "Connection refused",
    "Broken pipe",
    "GOAWAY",
    "handshake",
)
_OVERLOAD = ("maximum queue size", "timeout expired", "more requests than")
"""What Triton's queues and the admission of this project's backends say, in lower case."""

_LIMITS = ("concurrent rpc limit", "texts a second")
"""What the gateway's gRPC proxy says."""


@dataclass(frozen=True)
class Reply:
    """The answer to one text: `raw` is the RESULT object, `numeric` holds the numeric outputs that were asked for."""

    raw: Json
    numeric: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    """By name, without the batch dimension: LABEL_ID int64 [1], SCORE float32 [1], EMBEDDING float32 [D]."""


class Pending(Protocol):
    """A request in flight."""

    def result(self) -> Sequence[Reply | str]:
        """Wait for the request; for each row a reply, or the reason why there is none."""

    def cancel(self) -> None:
        """Stop waiting for it."""


class NotFound(ErnieTritonError):
    """The server has no such model; the client turns it into UnknownTask."""


class Refused(ErnieTritonError):
    """The server refused a whole request; the client finds out which of its rows are to blame."""


def translate(status: str, message: str, url: str, timeout: float) -> ErnieTritonError:
    """The error for a gRPC status such as UNAVAILABLE and its message, from the server at `url`.

    timeout: seconds, for the message.
    """
    line = " ".join(message.split())
    if status == "NOT_FOUND" or "unknown model" in line:
        return NotFound(line)
    if status in ("UNAUTHENTICATED", "PERMISSION_DENIED") or "restricted, expecting header" in line:
        return AccessDenied(f"the server at {url} refuses access: it wants an API key or a header, or other ones")
    if status == "INVALID_ARGUMENT":
        return Refused(message)
    if status == "DEADLINE_EXCEEDED":
        return ServerTimeout(f"the server at {url} did not answer within {timeout:g} s")
    if status == "UNAVAILABLE" and any(words in line for words in _NO_SERVER):
        cause = line.rpartition(": ")[2].rpartition(":")[2].strip(" ]")
        return no_server(url, cause)
    if status == "UNAVAILABLE" and any(words in line.lower() for words in _OVERLOAD):
        return ServerOverloaded(f"the server at {url} is overloaded: try again later")
    if status == "RESOURCE_EXHAUSTED" and any(words in line.lower() for words in _LIMITS):
        return ServerOverloaded(f"the server at {url} takes no more now: {line}")
    if status == "UNAVAILABLE" and "not ready" in line.lower():
        return ServerUnavailable(f"the server at {url} is starting or stopping: try again later")
    if status == "UNAVAILABLE":
        return ServerUnavailable(f"the server at {url} is unavailable: {line}")
    if status == "UNIMPLEMENTED" and not line:
        return no_server(url, "another service answers")
    if status == "CANCELLED":
        return ErnieTritonError("the request was cancelled")
    return ServerError(f"the server at {url} failed: {line or 'it gave no reason'} ({status})")


def no_server(url: str, cause: str) -> ServerUnavailable:
    """The error where nothing that is Triton answers."""
    port = "HTTP" if "://" in url else "gRPC"
    return ServerUnavailable(f"no Triton server answers at {url}, which must be its {port} port ({cause})")
