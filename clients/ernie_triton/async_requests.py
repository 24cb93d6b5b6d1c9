"""Does the steps of requests.py in an event loop."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable, Generator, Iterable, Sequence
from typing import Any, Protocol, TypeVar

from .errors import ErnieTritonError
from .items import Row
from .replies import Reply
from .requests import Deliver, Outcome, Read, Send, Step

_T = TypeVar("_T")


class AsyncPending(Protocol):
    """A request in flight."""

    async def result(self) -> list[Reply]:
        """Wait for the request; one reply a row."""

    def cancel(self) -> None:
        """Stop waiting for it."""


async def drive_async(
    steps: Generator[Step, Any, None],
    send: Callable[[Sequence[Row]], AsyncPending],
    entries: AsyncIterator[Row | str],
) -> AsyncGenerator[Outcome, None]:
    """As `drive`: yields what the steps deliver. Closed early, or its task cancelled, it cancels what is in flight."""
    result: Any = None
    error: ErnieTritonError | None = None
    try:
        while True:
            try:
                step = steps.send(result) if error is None else steps.throw(error)
            except StopIteration:
                return
            result, error = None, None
            if isinstance(step, Deliver):
                for outcome in step.outcomes:
                    yield outcome
                continue
            try:
                if isinstance(step, Read):
                    result = await anext(entries, None)
                else:
                    result = send(step.rows) if isinstance(step, Send) else await step.pending.result()
            except ErnieTritonError as failure:
                error = failure
    finally:
        steps.close()


async def as_async(items: Iterable[_T] | AsyncIterable[_T]) -> AsyncIterator[_T]:
    """The items one by one, from either kind of iterable."""
    if isinstance(items, AsyncIterable):
        async for item in items:
            yield item
    else:
        for item in items:
            yield item
