"""The client: lists the tasks of a server and asks them about texts."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from types import TracebackType
from typing import Literal, overload

from ernie_runtime.names import MANIFEST_PARAMETER

from .errors import InvalidText, UnknownTask
from .items import Item, Row, as_items, encode_item
from .replies import NotFound, Reply
from .requests import Outcome, send_bounded
from .results import Result, TextError, numeric_outputs, parse_result
from .tasks import Task, by_title, example_row, group_tasks
from .vectors import shortener

BATCH = 32  # texts in a request, by default


class Client:
    """A gRPC connection to one Triton server; use it in a `with` statement, or close it. Threads may share it.

    url: host:port of the server's gRPC port. timeout: seconds that one request may take.
    """

    def __init__(self, url: str = "127.0.0.1:8001", timeout: float = 60.0) -> None:
        from .transport import Transport  # only here: importing this package needs no tritonclient

        self._transport = Transport(url, timeout)
        self._tasks: dict[str, Task] = {}

    def __enter__(self) -> Client:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def tasks(self) -> list[Task]:
        """The tasks that the server has ready now, sorted by name."""
        tasks = group_tasks(self._transport.ensembles(MANIFEST_PARAMETER))
        self._tasks = {task.name: task for task in tasks}
        return tasks

    def task(self, name: str) -> Task:
        """One task by its name, or its title, as the server listed it last; UnknownTask where there is none."""
        if name not in self._tasks:
            self.tasks()
        task = self._tasks.get(name) or by_title(self._tasks.values(), name)
        if task is None:
            raise self._unknown(name)
        return task

    @overload
    def predict(
        self,
        task: str,
        texts: str | Iterable[Item],
        *,
        variant: str | None = None,
        on_error: Literal["raise"] = "raise",
        batch_size: int = BATCH,
        prefix: str | None = None,
        dimensions: int | None = None,
    ) -> list[Result]: ...

    @overload
    def predict(
        self,
        task: str,
        texts: str | Iterable[Item],
        *,
        variant: str | None = None,
        on_error: Literal["return"],
        batch_size: int = BATCH,
        prefix: str | None = None,
        dimensions: int | None = None,
    ) -> list[Result | TextError]: ...

    def predict(
        self,
        task: str,
        texts: str | Iterable[Item],
        *,
        variant: str | None = None,
        on_error: Literal["raise", "return"] = "raise",
        batch_size: int = BATCH,
        prefix: str | None = None,
        dimensions: int | None = None,
    ) -> list[Result] | list[Result | TextError]:
        """The answers to texts, in their order; a single text gives a list of one.

        texts: str, or a tuple of str per item for a kind with several inputs. variant: a precision other than
        the recommended one. batch_size: the maximum of texts in a request; a request of long texts holds fewer.
        prefix: of an embedding task, the name of the prefix to put before the texts (`Task.prefixes`: query, passage).
        dimensions: of an embedding task, how many numbers of each vector to keep, scaled to length 1 again.

        Texts that cannot be answered (empty, too long, not Unicode) raise InvalidText, which names all of them, after
        the others have been answered; with on_error="return" each gives a TextError in its place. Also raises
        UnknownTask, ServerUnavailable and ServerError.
        """
        if on_error not in ("raise", "return"):
            raise ValueError(f"on_error is {on_error!r}; it must be 'raise' or 'return'")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        items = as_items(texts)
        if not items:
            return []
        served = self.task(task)
        items, shorten = list(map(served.with_prefix(prefix), items)), shortener(served, dimensions)
        outcomes = list(self._outcomes(served, items, variant, batch_size, numeric_outputs(served.kind)))
        reasons = [(i, outcome) for i, outcome in enumerate(outcomes) if isinstance(outcome, str)]
        if reasons and on_error == "raise":
            raise InvalidText(reasons)
        replies = [outcome if isinstance(outcome, str) else shorten(outcome) for outcome in outcomes]
        return [
            TextError(i, reply) if isinstance(reply, str) else parse_result(served.kind, reply.raw, reply.numeric)
            for i, reply in enumerate(replies)
        ]

    def stream(
        self,
        task: str,
        texts: Iterable[Item],
        *,
        variant: str | None = None,
        batch_size: int = BATCH,
        numeric: bool = False,
        prefix: str | None = None,
        dimensions: int | None = None,
    ) -> Generator[Reply | TextError, None, None]:
        """The replies to texts one by one, in their order, for more texts than fit in memory.

        texts: read only a few requests ahead of the replies. numeric: include the task's numeric outputs (a label's
        index, an embedding). A text that cannot be answered gives a TextError in its place; so does one that makes
        the server fail while the server still answers the task's own example. The rest is as in `predict`.
        """
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        served = self.task(task)
        served.model(variant)
        texts, shorten = map(served.with_prefix(prefix), texts), shortener(served, dimensions)
        outputs = served.numeric if numeric else ()
        outcomes = self._outcomes(served, texts, variant, batch_size, outputs, example_row(served))
        return (
            TextError(i, outcome) if isinstance(outcome, str) else shorten(outcome)
            for i, outcome in enumerate(outcomes)
        )

    def _outcomes(
        self,
        task: Task,
        items: Iterable[Item],
        variant: str | None,
        batch_size: int,
        numeric: Sequence[str] = (),
        known_good: Row | None = None,
    ) -> Generator[Outcome, None, None]:
        model = task.model(variant)
        entries = (encode_item(item, task.inputs) for item in items)
        size = min(batch_size, task.max_batch_size or 1)
        try:
            yield from send_bounded(
                lambda rows: self._transport.send(model, task.inputs, rows, numeric), entries, size, known_good
            )
        except NotFound:
            self.tasks()
            raise self._unknown(model) from None

    def _unknown(self, name: str) -> UnknownTask:
        return UnknownTask(f"the server at {self._transport.url} has no task", name, sorted(self._tasks))
