"""What a caller gets where there is no answer: a status, a code for programs, one line for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ernie_runtime.json_types import Json, JsonObject
from ernie_triton.errors import (
    AccessDenied,
    ErnieTritonError,
    InvalidText,
    ServerError,
    ServerOverloaded,
    ServerTimeout,
    ServerUnavailable,
    UnknownTask,
)

RETRY_SECONDS = 1
SHOWN = 400  # characters of a message: it may quote what the caller sent


@dataclass(eq=False)
class Problem(Exception):
    """An HTTP status and its reason. items: where single items are to blame, their indices and reasons."""

    status: int
    code: str
    message: str
    items: Sequence[Json] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def to_json(self, request_id: str) -> JsonObject:
        """The body, in the shape that OpenAI's clients read too."""
        kind = "invalid_request_error" if self.status < 500 and self.status != 429 else "server_error"
        error: JsonObject = {"message": cut(self.message), "type": kind, "code": self.code, "request_id": request_id}
        if self.items:
            error["items"] = list(self.items)
        return {"error": error}


def cut(message: str) -> str:
    """A message of bounded length."""
    return message if len(message) <= SHOWN else message[: SHOWN - 1] + "…"


def overloaded(message: str) -> Problem:
    """429: the same request may succeed a moment later."""
    return Problem(429, "overloaded", message, headers={"retry-after": str(RETRY_SECONDS)})


def from_client(error: ErnieTritonError, url: str) -> Problem:
    """The problem for an error of the client, without the address of the server behind the gateway."""
    message = " ".join(str(error).replace(f" at {url}", "").split())
    if isinstance(error, UnknownTask):
        if error.subject.startswith("task "):  # it is the variant or the prefix that does not exist
            return Problem(422, "unknown_option", message)
        return Problem(404, "unknown_task", message)
    if isinstance(error, InvalidText):
        items = [{"item": index, "message": reason} for index, reason in error.items]
        return Problem(422, "invalid_text", message, items)
    if isinstance(error, ServerTimeout):
        return Problem(504, "deadline", message)
    if isinstance(error, ServerOverloaded):
        return overloaded(message)
    if isinstance(error, ServerUnavailable):
        return Problem(503, "no_server", message, headers={"retry-after": str(RETRY_SECONDS)})
    if isinstance(error, ServerError | AccessDenied):
        return Problem(502, "server_failed", message)
    return Problem(422, "invalid_request", message)
