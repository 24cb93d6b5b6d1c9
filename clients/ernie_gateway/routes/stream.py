"""A streamed body: a JSON value a line in, an answer a line out, in order, for bodies of any length."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from ernie_triton.errors import ErnieTritonError
from ernie_triton.tasks import Task

from .. import bodies
from ..answers import dumps, to_json
from ..gateway import Gateway, Options
from ..problems import Problem, from_client
from ..rows import items_of

TYPES = ("application/x-ndjson", "application/jsonl", "application/json-lines")
PARAMETERS = ("variant", "prefix", "offsets")
LINES = 64  # that are asked together
AHEAD = 4  # such groups in flight


class Lines(Response):
    """Sends lines as they come. Not Starlette's StreamingResponse: that reads on, to see whether the caller is gone,
    and so would take parts of the body from those who parse it.
    """

    media_type = TYPES[0]

    def __init__(self, lines: AsyncGenerator[bytes, None]) -> None:
        self._lines = lines
        self.status_code, self.background = 200, None
        self.body = b""
        self.raw_headers = [(b"content-type", TYPES[0].encode())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send all lines."""
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        async with aclosing(self._lines) as lines:
            async for part in lines:
                await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def is_ndjson(request: Request) -> bool:
    """Whether the body is lines of JSON."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower() in TYPES


async def answer(request: Request, here: Gateway, task: Task) -> Response:
    """Lines come back while others are still being sent; a failure midway is a last line with `"fatal": true`."""
    query = request.query_params
    for name in query:
        if name not in PARAMETERS:
            raise bodies.wrong(f"unknown parameter {name!r}", f"a JSON value a line, and ?{'=, ?'.join(PARAMETERS)}=")
    options = Options(
        variant=query.get("variant"),
        prefix=query.get("prefix"),
        offsets=bodies.offsets(query.get("offsets"), "?offsets=utf16"),
    )
    try:
        task.model(options.variant)
        task.with_prefix(options.prefix)
    except ErnieTritonError as error:
        raise from_client(error, here.settings.url) from None
    return Lines(_answers(request, here, task, options))


async def _answers(request: Request, here: Gateway, task: Task, options: Options) -> AsyncGenerator[bytes, None]:
    """The answers of each group of lines, in order, while the next groups are read and asked."""
    ahead: asyncio.Queue[asyncio.Task[bytes] | None] = asyncio.Queue(AHEAD)
    reader = asyncio.create_task(_read(request, here, task, options, ahead))
    asked: asyncio.Task[bytes] | None = None
    try:
        while (asked := await ahead.get()) is not None:
            yield await asked
        await reader
    except Problem as problem:  # the status has been sent
        request.state.problem = problem
        yield dumps({**problem.to_json(request.state.request_id), "fatal": True}, line=True)
    finally:
        reader.cancel()
        while asked is not None:
            asked.cancel()
            asked = None if ahead.empty() else ahead.get_nowait()


async def _read(
    request: Request, here: Gateway, task: Task, options: Options, ahead: asyncio.Queue[asyncio.Task[bytes] | None]
) -> None:
    """Ask about each group as it arrives, as far as there is room; None is the end, or a problem of the body."""
    number = 1
    try:
        async for lines in _groups(request, here):
            await ahead.put(asyncio.create_task(_ask(request, here, task, lines, number, options)))
            number += len(lines)
            if (pause := request.state.allowance.wait()) > 0:
                await asyncio.sleep(pause)
    finally:
        await ahead.put(None)


async def _groups(request: Request, here: Gateway) -> AsyncIterator[list[bytes]]:
    """Lines, as many as have arrived and at most LINES."""
    rest = b""
    async for part in bodies.chunks(request, here.settings):
        *lines, rest = (rest + part).split(b"\n")
        if max(map(len, (*lines, rest))) > here.settings.max_body:
            raise bodies.too_large(f"a line has more than {here.settings.max_body:,} bytes", here.settings)
        for start in range(0, len(lines), LINES):
            yield lines[start : start + LINES]
    if rest:
        yield [rest]


async def _ask(request: Request, here: Gateway, task: Task, lines: list[bytes], first: int, options: Options) -> bytes:
    """The answers' lines, each with the number of its line; a blank line has none."""
    numbers = [number for number, line in enumerate(lines, first) if line.strip()]
    items, reasons = items_of([_parse(line) for line in lines if line.strip()], task)
    # Whoever sends a stream has no one line to send again: it waits, and so its body is read no faster.
    answers = await here.answers(request, task, items, reasons, options, patience=here.settings.timeout)
    return b"".join(
        dumps({"line": number, **to_json(answer)}, line=True) for number, answer in zip(numbers, answers, strict=True)
    )


def _parse(line: bytes) -> object:
    """The value of a line, or the Problem that it is."""
    try:
        value: object = bodies.parse(line)
    except Problem as problem:
        return problem
    return value
