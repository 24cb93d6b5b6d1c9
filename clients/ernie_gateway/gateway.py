"""What all routes of a worker share: the settings, the connection, and the one way to ask a task."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from starlette.requests import Request

from ernie_triton import AsyncClient
from ernie_triton.errors import ErnieTritonError, ServerOverloaded
from ernie_triton.items import Item
from ernie_triton.results import Result, TextError
from ernie_triton.tasks import Task

from . import problems
from .bodies import gone, too_large
from .problems import Problem
from .rows import items_of
from .settings import Settings

Answer = Result | TextError
LONGEST_NAME = 256
FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0  # seconds before a stream asks again
LIST_SECONDS = 2.0  # for which a list of tasks is good; a task that is new in it is asked for all the same

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What a request asks for besides its items; see Client.predict."""

    variant: str | None = None
    prefix: str | None = None
    dimensions: int | None = None
    offsets: Literal["characters", "utf16"] = "characters"


@dataclass(kw_only=True)
class Gateway:
    """One worker's."""

    settings: Settings
    client: AsyncClient
    _tasks: list[Task] = field(default_factory=list)
    _listed: float = -LIST_SECONDS

    async def tasks(self) -> list[Task]:
        """The tasks that the server has ready."""
        if time.monotonic() - self._listed > LIST_SECONDS:
            try:
                self._tasks = await self.client.tasks()
            except ErnieTritonError as error:
                raise problems.from_client(error, self.settings.url) from None
            self._listed = time.monotonic()
        return self._tasks

    async def task(self, name: str) -> Task:
        """One task; Problem 404 where there is none."""
        if len(name) > LONGEST_NAME:  # Triton would put it into the headers of its answer, which have a limit
            raise Problem(404, "unknown_task", f"there is no task {name[:40]!r}…")
        try:
            return await self.client.task(name)
        except ErnieTritonError as error:
            raise problems.from_client(error, self.settings.url) from None

    async def ask(self, request: Request, task: Task, values: Sequence[object], options: Options) -> list[Answer]:
        """One answer a value, in order; a value that cannot be answered has a TextError in its place.

        Problem where the request as a whole fails. Ends early where the caller is gone; the body must have been read.
        """
        if len(values) > self.settings.max_items:
            raise too_large(f"{len(values):,} items in a request", self.settings, items=True)
        items, reasons = items_of(values, task)
        return await unless_gone(request, self.answers(request, task, items, reasons, options))

    async def answers(
        self,
        request: Request,
        task: Task,
        items: Sequence[Item],
        reasons: Mapping[int, str],
        options: Options,
        patience: float = 0.0,
    ) -> list[Answer]:
        """Answers of `items`, with the values that are none (reasons by index) in between.

        patience: seconds for which they are asked again where Triton takes no more now.
        """
        answers: Sequence[Answer] = ()
        request.state.allowance.ask(len(items) + len(reasons))
        until, pause = time.monotonic() + patience, FIRST_PAUSE
        while items and not answers:
            try:
                answers = await self.client.predict(
                    task.name,
                    items,
                    on_error="return",
                    variant=options.variant,
                    prefix=options.prefix,
                    dimensions=options.dimensions,
                    offsets=options.offsets,
                    headers=_trace(request),
                )
            except ErnieTritonError as error:
                if not isinstance(error, ServerOverloaded) or time.monotonic() > until:
                    raise problems.from_client(error, self.settings.url) from None
                await asyncio.sleep(pause * random.uniform(0.5, 1.5))
                pause = min(2 * pause, LONGEST_PAUSE)
        rest = iter(answers)
        count = len(items) + len(reasons)
        merged = [TextError(index, reasons[index]) if index in reasons else next(rest) for index in range(count)]
        request.state.items = getattr(request.state, "items", 0) + count
        request.state.faults = getattr(request.state, "faults", 0) + sum(isinstance(a, TextError) for a in merged)
        return merged


async def unless_gone(request: Request, work: Awaitable[_T]) -> _T:
    """The result of `work`, which is cancelled where the caller closes the connection; the body must be read."""
    task = asyncio.current_task()
    assert task is not None

    def cancel(_: asyncio.Task[None]) -> None:
        task.cancel()

    leaving = asyncio.ensure_future(_disconnect(request))
    leaving.add_done_callback(cancel)
    try:
        return await work
    except asyncio.CancelledError:
        if leaving.done():
            raise gone() from None
        raise
    finally:
        leaving.remove_done_callback(cancel)
        leaving.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _trace(request: Request) -> dict[str, str]:
    """For Triton's spans (`serve --trace`): the gateway's own span, or the caller's."""
    parent = request.state.traceparent
    return {"traceparent": parent} if parent else {}


def of(request: Request) -> Gateway:
    """The gateway that a request came to."""
    gateway: Gateway = request.app.state.gateway
    return gateway


def none_answered(answers: Sequence[Answer]) -> Problem | None:
    """422 where every single item is bad; else the bad ones are among the answers."""
    faults = [answer for answer in answers if isinstance(answer, TextError)]
    if not faults or len(faults) < len(answers):
        return None
    items = [{"item": index, "message": fault.reason} for index, fault in enumerate(faults)]
    first = faults[0].reason if len(faults) == 1 else f"item 0: {faults[0].reason}"
    more = f" (and {len(faults) - 1} more)" if len(faults) > 1 else ""
    return Problem(422, "invalid_text", first + more, items)
