"""Bodies of requests: read within limits, parsed as strict JSON, fields checked."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, Literal

from starlette.requests import ClientDisconnect, Request

from ernie_runtime.command_line import did_you_mean
from ernie_runtime.json_types import Json, JsonObject

from .problems import Problem
from .settings import Settings


async def read(request: Request, settings: Settings) -> bytes:
    """The whole body; Problem 413 where it is too large, 408 where it does not arrive in time."""
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > settings.max_body:
        raise too_large(f"the body has {int(announced):,} bytes", settings)
    parts, length = [], 0
    with _in_time(settings):  # all of it: it may come in drops
        try:
            async for part in request.stream():
                parts.append(part)
                length += len(part)
                if length > settings.max_body:
                    raise too_large(f"the body has more than {settings.max_body:,} bytes", settings)
        except ClientDisconnect:
            raise gone() from None
    return b"".join(parts)


async def chunks(request: Request, settings: Settings) -> AsyncIterator[bytes]:
    """The body as it arrives; Problem 408 where nothing arrives for too long."""
    stream = request.stream().__aiter__()
    while True:
        try:
            with _in_time(settings):
                part = await anext(stream)
        except StopAsyncIteration:
            return
        except ClientDisconnect:
            raise gone() from None
        yield part


@contextmanager
def _in_time(settings: Settings) -> Iterator[None]:
    """Problem 408 where what is done takes too long. asyncio.wait_for would take a task each time."""
    task, is_late = asyncio.current_task(), False
    assert task is not None

    def expire() -> None:
        nonlocal is_late
        is_late = True
        task.cancel()

    timer = asyncio.get_running_loop().call_later(settings.body_timeout, expire)
    try:
        yield
    except asyncio.CancelledError:
        if is_late:
            raise late(settings) from None
        raise
    finally:
        timer.cancel()


def late(settings: Settings) -> Problem:
    """408; the connection is of no use any more."""
    message = f"the body did not arrive within {settings.body_timeout:g} s (is Content-Length right?)"
    return Problem(408, "body_timeout", message, headers={"connection": "close"})


def too_large(what: str, settings: Settings, *, items: bool = False) -> Problem:
    """413, with the way out."""
    limit = settings.max_items if items else settings.max_body
    hint = "send less, or stream lines to /v1/tasks/TASK as application/x-ndjson"
    return Problem(413, "too_large", f"{what}; the limit is {limit:,}: {hint}")


def gone() -> Problem:
    """The caller has closed the connection: nobody reads this, but the log counts it."""
    return Problem(499, "client_gone", "the client has closed the connection")


def parse(text: bytes) -> Any:
    """A JSON value; Problem 400 where it is none, or says two things under one key."""
    try:
        return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
    except RecursionError:
        raise Problem(400, "bad_json", "the body is not JSON that can be read: nested too deep") from None
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        hint = "" if text.strip() else "; it is empty"
        raise Problem(400, "bad_json", f"the body is not JSON: {error.msg} ({where}){hint}") from None
    except ValueError as error:  # not UTF-8, a repeated key
        raise Problem(400, "bad_json", f"the body is not JSON: {error}") from None


def fields(text: bytes, known: Iterable[str], example: str) -> JsonObject:
    """The members of a body that is an object; Problem where it is none or has others. example: what is wanted."""
    body = parse(text)
    if not isinstance(body, dict):
        raise wrong(f"the body must be an object, not {json_type(body)}", example)
    for name in body:
        if name not in known:
            raise wrong(f"unknown field {name!r}{did_you_mean(name, known)}", example)
    return body


def wrong(what: str, example: str) -> Problem:
    """422: the JSON is none that this address takes."""
    return Problem(422, "wrong_body", f"{what}; send {example}")


def optional_str(body: Json, name: str, example: str) -> str | None:
    """The field, None where it is not there or null."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise wrong(f"{name} must be a string, not {json_type(value)}", example)
    return value


def optional_int(body: Json, name: str, example: str) -> int | None:
    """The field, a whole number of at least 1; None where it is not there or null."""
    value = body.get(name)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        shown = value if isinstance(value, int | float) and not isinstance(value, bool) else json_type(value)
        raise wrong(f"{name} must be a whole number of at least 1, not {shown}", example)
    return value


def offsets(value: object, example: str) -> Literal["characters", "utf16"]:
    """What positions count: characters as Python does, or UTF-16 units as JavaScript does."""
    if value in (None, "characters"):
        return "characters"
    if value == "utf16":
        return "utf16"
    raise wrong('offsets is "characters" or "utf16"', example)


def json_type(value: object) -> str:
    """What a JSON value is, for people."""
    names = {dict: "an object", list: "a list", str: "a string", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _object(pairs: list[tuple[str, Any]]) -> JsonObject:
    members = dict(pairs)
    if len(members) < len(pairs):
        name, _ = Counter(key for key, _ in pairs).most_common(1)[0]
        raise ValueError(f"several values under the key {name!r}")
    return members


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is no number in JSON")
