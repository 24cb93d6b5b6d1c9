"""What comes back from a request: a reply for each text, or the server's status as an error of this package."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ernie_runtime.json_types import Json

from .errors import ErnieTritonError, ServerError, ServerUnavailable

if TYPE_CHECKING:
    import numpy as np

_NO_SERVER = (
    "failed to connect",
    "errors resolving",
    "DNS resolution failed",
    "Socket closed",
    "Connection reset",
)


@dataclass(frozen=True)
class Reply:
    """The answer to one text: `raw` is the RESULT object, `numeric` holds the numeric outputs that were asked for."""

    raw: Json
    numeric: Mapping[str, np.ndarray] = field(default_factory=dict, compare=False)
    """By name, without the batch dimension: LABEL_ID int64 [1], SCORE float32 [1], EMBEDDING float32 [D]."""


class Pending(Protocol):
    """A request in flight."""

    def result(self) -> list[Reply]:
        """Wait for the request; one reply a row."""

    def cancel(self) -> None:
        """Stop waiting for it."""


class NotFound(ErnieTritonError):
    """The server has no such model; the client turns it into UnknownTask."""


class Refused(ErnieTritonError):
    """The server refused a whole request; the client finds out which of its rows are to blame."""


def translate(status: str, message: str, url: str, timeout: float) -> ErnieTritonError:
    """The error for a gRPC status (`StatusCode.UNAVAILABLE`) and its message, from the server at `url`.

    timeout: seconds, for the message.
    """
    code = status.removeprefix("StatusCode.")
    line = " ".join(message.split())
    if code == "NOT_FOUND" or "unknown model" in line:
        return NotFound(line)
    if code == "INVALID_ARGUMENT":
        return Refused(message)
    if code == "DEADLINE_EXCEEDED":
        return ServerUnavailable(f"the server at {url} did not answer within {timeout:g} s")
    if code == "UNAVAILABLE" and any(words in line for words in _NO_SERVER):
        cause = line.rpartition(": ")[2].rpartition(":")[2].strip(" ]")
        return ServerUnavailable(f"no Triton server answers at {url}, which must be its gRPC port ({cause})")
    if code == "UNAVAILABLE":
        return ServerUnavailable(f"the server at {url} is unavailable: {line}")
    return ServerError(f"the server at {url} failed: {line} ({code})")
