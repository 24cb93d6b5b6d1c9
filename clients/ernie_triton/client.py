"""The client: lists the tasks of a server and asks them about texts."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, TypeVar, overload

from .asking import Texts, TypedMethods
from .connection import Certificates, Retry, connection
from .errors import ServerUnavailable
from .items import Item, as_items
from .job import Job, R, check_kind, check_options
from .lookup import Catalog, IsLive, IsReady, Query
from .options import BATCH as BATCH
from .options import VectorOptions
from .replies import NotFound, Reply
from .requests import Outcome, drive, exchange
from .results import Result, Results, TextError
from .tasks import Task, example_row
from .transports import connect

if TYPE_CHECKING:
    from typing_extensions import Unpack

_T = TypeVar("_T")


class Client(TypedMethods):
    """A connection to one Triton server; use it in a `with` statement, or close it. Threads may share it.

    url: host:port of the server's gRPC port (`grpcs://host:port` with TLS), or `http://host:port`, `https://...` of its
    HTTP port, which needs the extra client-http. timeout: seconds that one request may take, with its retries.
    retry: how often a request is sent again where the server is overloaded or away. tls: certificates; True: those that
    the system knows. api_key: sent as `authorization: Bearer KEY`. headers: sent with every request.
    wait_for_ready: over gRPC, wait up to the timeout for a server that is not there yet, or restarts.
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
    ) -> None:
        self._connection = connection(
            url,
            timeout=timeout,
            retry=retry,
            tls=tls,
            api_key=api_key,
            headers=headers,
            wait_for_ready=wait_for_ready,
        )
        self._transport = connect(self._connection)
        self._catalog = Catalog(self._connection.url)

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection; requests in flight fail."""
        self._transport.close()

    def live(self) -> bool:
        """Whether a server answers."""
        return self._is(IsLive())

    def ready(self, model: str | None = None) -> bool:
        """Whether a task, or another model, is ready; None: whether the server with all of its models is."""
        return self._is(IsReady(model))

    def tasks(self) -> list[Task]:
        """The tasks that the server has ready now, sorted by name."""
        return self._look_up(self._catalog.all_tasks())

    def task(self, name: str) -> Task:
        """One task by its name, or its title; UnknownTask where there is none. A task is asked for once."""
        return self._look_up(self._catalog.one_task(name))

    @overload
    def predict(
        self,
        task: str,
        texts: Texts,
        *,
        result: type[R],
        on_error: Literal["raise"] = "raise",
        **options: Unpack[VectorOptions],
    ) -> Results[R]: ...

    @overload
    def predict(
        self,
        task: str,
        texts: Texts,
        *,
        result: type[R],
        on_error: Literal["return"],
        **options: Unpack[VectorOptions],
    ) -> Results[R | TextError]: ...

    @overload
    def predict(
        self,
        task: str,
        texts: Texts,
        *,
        result: None = None,
        on_error: Literal["raise"] = "raise",
        **options: Unpack[VectorOptions],
    ) -> Results[Result]: ...

    @overload
    def predict(
        self,
        task: str,
        texts: Texts,
        *,
        result: None = None,
        on_error: Literal["return"],
        **options: Unpack[VectorOptions],
    ) -> Results[Result | TextError]: ...

    def predict(
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
        served = self.task(task)
        items = as_items(given, served.inputs)
        check_kind(served, result)
        job = Job(served, options, self._connection)
        return job.results(items, list(self._outcomes(job, items)), on_error)

    def stream(
        self, task: str, texts: Iterable[Item], *, numeric: bool = False, **options: Unpack[VectorOptions]
    ) -> Generator[Reply | TextError, None, None]:
        """The replies to texts one by one, in their order, for more texts than fit in memory.

        texts: read only a few requests ahead of the replies. numeric: include the task's numeric outputs (a label's
        index, an embedding). A text that cannot be answered gives a TextError in its place; so does one that makes
        the server fail while the server still answers the task's own example. The rest is as in `predict`.
        """
        check_options(options)
        served = self.task(task)
        job = Job(served, options, self._connection, served.numeric if numeric else ())
        outcomes = self._outcomes(job, texts, example=True)
        return (job.reply(i, outcome) for i, outcome in enumerate(outcomes))

    def _typed(self, result: type[R], task: str, texts: Texts, **options: Unpack[VectorOptions]) -> Results[R]:
        return self.predict(task, texts, result=result, **options)

    def _outcomes(self, job: Job, items: Iterable[Item], example: bool = False) -> Iterator[Outcome]:
        steps = exchange(job.size, example_row(job.task) if example else None)
        try:
            yield from drive(steps, lambda rows: self._transport.send(job.request(rows)), map(job.entry, items))
        except NotFound:
            raise self._look_up(self._catalog.lost(job.model)) from None

    def _look_up(self, steps: Generator[Query, Any, _T]) -> _T:
        try:
            query = next(steps)
            while True:
                query = steps.send(self._transport.ask(query))
        except StopIteration as end:
            found: _T = end.value
            return found

    def _is(self, query: Query) -> bool:
        try:
            return bool(self._transport.ask(query))
        except ServerUnavailable:
            return False
