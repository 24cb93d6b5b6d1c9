"""gRPC status codes and messages of Triton as this package's errors."""

from __future__ import annotations

from .errors import ErnieTritonError, ServerError, ServerUnavailable

_NO_SERVER = (
    "failed to connect",
    "errors resolving",
    "DNS resolution failed",
    "Socket closed",
    "Connection reset",
)


class NotFound(ErnieTritonError):
    """The server has no such model; the client makes an UnknownTask of it."""


class Refused(ErnieTritonError):
    """The server refused a request whole; the client finds out which of its items are to blame."""


def translate(status: str, message: str, url: str, timeout: float) -> ErnieTritonError:
    """The error for a status (`StatusCode.UNAVAILABLE`) and its message, from the server at `url`."""
    code = status.removeprefix("StatusCode.")
    line = " ".join(message.split())
    if code == "NOT_FOUND" or "unknown model" in line:
        return NotFound(line)
    if code == "INVALID_ARGUMENT":
        return Refused(message)
    if code == "DEADLINE_EXCEEDED":
        return ServerUnavailable(f"the server at {url} did not answer within {timeout:g} s")
    if code == "UNAVAILABLE" and any(words in line for words in _NO_SERVER):
        why = line.rpartition(": ")[2].rpartition(":")[2].strip(" ]")
        return ServerUnavailable(f"no Triton server answers at {url}, which must be its gRPC port ({why})")
    if code == "UNAVAILABLE":
        return ServerUnavailable(f"the server at {url} is unavailable: {line}")
    return ServerError(f"the server at {url} failed: {line} ({code})")
