"""The client for asyncio: `Client`, with `await` before what waits."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Iterable, Mapping, Sequence
from contextlib import aclosing
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .asking import Texts
from .async_asking import AsyncTypedMethods
from .async_requests import as_async, drive_async
from .connection import Certificates, Retry, connection
from .errors import ServerUnavailable
from .gathering import Gathering
from .items import Item, Row, as_items
from .job import Job, R, check_kind, check_options
from .lookup import Catalog, IsLive, IsReady, Query
from .options import VectorOptions
from .replies import NotFound, Reply
from .requests import Outcome, exchange
from .results import Result, Results, TextError
from .tasks import Task, example_row
from .transports import AsyncTransport, connect_async

if TYPE_CHECKING:
    from typing_extensions import Unpack

_T = TypeVar("_T")


class AsyncClient(AsyncTypedMethods):
    """A connection of one event loop to one Triton server; use it in an `async with` statement, or close it.

    Tasks may share it. Whoever is cancelled while waiting cancels the requests of its call. The arguments are those of
    `Client`, and `gather`: texts of calls that wait at the same time go to the server in one request (`Gathering`).
    """

    def __init__(
        self,
        url: str = "127.0.0.1:8001",
        timeout: float = 60.0,
        *,
        retry: Retry | None = None,
        tls: Certificates | bool | None = None,
        api_key: str | None = None,
        headers: Mapping[str, str] | None = None,
        wait_for_ready: bool = False,
        gather: Gathering | bool = False,
    ) -> None:
        self._gathering = gather if isinstance(gather, Gathering) else Gathering() if gather else None
        self._connection = connection(
            url,
            timeout=timeout,
            retry=retry,
            tls=tls,
            api_key=api_key,
            headers=headers,
            wait_for_ready=wait_for_ready,
        )
        self._opened: AsyncTransport | None = None
        self._catalog = Catalog(self._connection.url)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connection; requests in flight fail."""
        await self._transport.close()

    async def live(self) -> bool:
        """Whether a server answers."""
        return await self._is(IsLive())

    async def ready(self, model: str | None = None) -> bool:
        """Whether a task, or another model, is ready; None: whether the server with all of its models is."""
        return await self._is(IsReady(model))

    async def tasks(self) -> list[Task]:
        """The tasks that the server has ready now, sorted by name."""
        return await self._look_up(self._catalog.all_tasks())

    async def task(self, name: str) -> Task:
        """One task by its name, or its title; UnknownTask where there is none. A task is asked for once."""
        return await self._look_up(self._catalog.one_task(name))

    @overload
    async def predict(
        self,
        task: str,
        texts: Texts,
        *,
        result: type[R],
        on_error: Literal["raise"] = "raise",
        **options: Unpack[VectorOptions],
    ) -> Results[R]: ...

    @overload
    async def predict(
        self,
        task: str,
        texts: Texts,
        *,
        result: type[R],
        on_error: Literal["return"],
        **options: Unpack[VectorOptions],
    ) -> Results[R | TextError]: ...

    @overload
    async def predict(
        self,
        task: str,
        texts: Texts,
        *,
        result: None = None,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[VectorOptions],
    ) -> Results[Result]: ...

    @overload
    async def predict(
        self,
        task: str,
        texts: Texts,
        *,
        result: None = None,
        on_error: Literal["return"],
        **options: Unpack[VectorOptions],
    ) -> Results[Result | TextError]: ...

    async def predict(
        self,
        task: str,
        texts: Texts,
        *,
        result: type[R] | None = None,
        on_error: Literal["raise", "return"] = "raise",
        **options: Unpack[VectorOptions],
    ) -> Any:
        """The answers to texts, in their order; a single text gives a list of one.

        texts: str; for a kind with several inputs a tuple of one text per input, or a dict of them; candidates to rank
        are a list of str. result: the class that the answers must have, for type checkers (ClassificationResult; the
        methods such as `classify` give it); WrongKind where the task's are of another. variant: a precision other than
        the recommended one. batch_size: the maximum of texts in a request (32); a request of long texts holds fewer.
        timeout: seconds that one request may take. offsets: "utf16" for positions as JavaScript counts them.
        prefix: of an embedding task, the name of the prefix to put before the texts (`Task.prefixes`: query, passage).
        dimensions: of an embedding task, how many numbers of each vector to keep, scaled to length 1 again.
        priority, headers: of these requests.

        Texts that cannot be answered (empty, too long, not Unicode) raise InvalidText, which names all of them, after
        the others have been answered; with on_error="return" each gives a TextError in its place. Also raises
        UnknownTask, ServerUnavailable and ServerError.
        """
        check_options(options, on_error)
        given = texts if isinstance(texts, Sequence | Mapping) else as_items(texts)
        if not given and isinstance(given, tuple | list):
            return Results()
        served = await self.task(task)
        items = as_items(given, served.inputs)
        check_kind(served, result)
        job = Job(served, options, self._connection)
        outcomes = [outcome async for outcome in self._outcomes(job, items)]
        return job.results(items, outcomes, on_error)

    async def stream(
        self,
        task: str,
        texts: Iterable[Item] | AsyncIterable[Item],
        *,
        numeric: bool = False,
        **options: Unpack[VectorOptions],
    ) -> AsyncGenerator[Reply | TextError, None]:
        """The replies to texts one by one, in their order, for more texts than fit in memory.

        texts: read only a few requests ahead of the replies. numeric: include the task's numeric outputs (a label's
        index, an embedding). A text that cannot be answered gives a TextError in its place; so does one that makes
        the server fail while the server still answers the task's own example. The rest is as in `predict`. Whoever
        stops reading early should close the stream (`contextlib.aclosing`): that cancels what is in flight.
        """
        check_options(options)
        served = await self.task(task)
        job = Job(served, options, self._connection, served.numeric if numeric else ())
        index = 0
        async with aclosing(self._outcomes(job, texts, example=True)) as outcomes:
            async for outcome in outcomes:
                yield job.reply(index, outcome)
                index += 1

    async def _typed(self, result: type[R], task: str, texts: Texts, **options: Unpack[VectorOptions]) -> Results[R]:
        return await self.predict(task, texts, result=result, **options)

    async def _outcomes(
        self, job: Job, items: Iterable[Item] | AsyncIterable[Item], example: bool = False
    ) -> AsyncGenerator[Outcome, None]:
        steps = exchange(job.size, example_row(job.task) if example else None)

        try:
            async with aclosing(
                drive_async(steps, lambda rows: self._transport.send(job.request(rows)), _entries(job, items))
            ) as outcomes:
                async for outcome in outcomes:
                    yield outcome
        except NotFound:
            raise await self._look_up(self._catalog.lost(job.model)) from None

    @property
    def _transport(self) -> AsyncTransport:
        if self._opened is None:  # now, as it belongs to the loop that runs
            self._opened = connect_async(self._connection, self._gathering)
        return self._opened

    async def _look_up(self, steps: Generator[Query, Any, _T]) -> _T:
        try:
            query = next(steps)
            while True:
                query = steps.send(await self._transport.ask(query))
        except StopIteration as end:
            found: _T = end.value
            return found

    async def _is(self, query: Query) -> bool:
        try:
            return bool(await self._transport.ask(query))
        except ServerUnavailable:
            return False


async def _entries(job: Job, items: Iterable[Item] | AsyncIterable[Item]) -> AsyncIterator[Row | str]:
    async for item in as_async(items):
        yield job.entry(item)
