"""The client: which tasks a server has, and their answers to texts."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, overload

from .errors import InvalidText, UnknownTask
from .items import Item, Row, as_items, cut, encode_item, reason, refusals
from .results import Result, TextError, parse_result
from .status import NotFound, Refused
from .tasks import Task, group_tasks

if TYPE_CHECKING:
    from .transport import Pending

MANIFEST_PARAMETER = "manifest"
IN_FLIGHT = 8  # requests of one predict call that are on their way at a time
IN_FLIGHT_BYTES = 128_000  # of text in them; more would wait on a slow server until the timeout


class Client:
    """Talks to one Triton server over gRPC; use it in a `with` statement, or close it.

    url: host:port of the server's gRPC port. timeout: seconds that one request may take.
    Threads may share a client.
    """

    def __init__(self, url: str = "127.0.0.1:8001", timeout: float = 60.0) -> None:
        from .transport import Transport  # here, for `ernie-triton --help` does without tritonclient

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
        """The tasks that the server has ready now, by name."""
        found = group_tasks(self._transport.ensembles(MANIFEST_PARAMETER))
        self._tasks = {task.name: task for task in found}
        return found

    def task(self, name: str) -> Task:
        """One task, as the last look at the server found it; UnknownTask where there is none of this name."""
        if name not in self._tasks:
            self.tasks()
        if name not in self._tasks:
            raise self._unknown(name)
        return self._tasks[name]

    @overload
    def predict(
        self,
        task: str,
        texts: str | Iterable[Item],
        *,
        variant: str | None = None,
        on_error: Literal["raise"] = "raise",
        batch_size: int = 32,
    ) -> list[Result]: ...

    @overload
    def predict(
        self,
        task: str,
        texts: str | Iterable[Item],
        *,
        variant: str | None = None,
        on_error: Literal["return"],
        batch_size: int = 32,
    ) -> list[Result | TextError]: ...

    def predict(
        self,
        task: str,
        texts: str | Iterable[Item],
        *,
        variant: str | None = None,
        on_error: Literal["raise", "return"] = "raise",
        batch_size: int = 32,
    ) -> list[Result] | list[Result | TextError]:
        """The answers to texts, in their order; one text gives a list of one.

        texts: str, or a tuple of str an item for a kind with several inputs. variant: a precision other than
        the recommended one. batch_size: texts a request, at most; a request of long texts holds fewer.

        A text that cannot be answered (empty, too long, not Unicode) raises InvalidText, which names all such
        texts, when the others are through; with on_error="return" it gives a TextError in its place. Raises
        UnknownTask, ServerUnavailable and ServerError too.
        """
        if on_error not in ("raise", "return"):
            raise ValueError(f"on_error is {on_error!r}; it must be 'raise' or 'return'")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
        items = as_items(texts)
        if not items:
            return []
        found = self.task(task)
        model = found.model(variant)
        encoded = [encode_item(item, found.inputs) for item in items]
        rows = {index: row for index, row in enumerate(encoded) if isinstance(row, tuple)}
        reasons = {index: row for index, row in enumerate(encoded) if isinstance(row, str)}
        try:
            answers, refused = self._ask(model, found, rows, min(batch_size, found.max_batch_size or 1))
        except NotFound:
            self.tasks()
            raise self._unknown(model) from None
        reasons |= refused
        if reasons and on_error == "raise":
            raise InvalidText(sorted(reasons.items()))
        return [
            TextError(i, reasons[i]) if i in reasons else parse_result(found.kind, answers[i])
            for i in range(len(items))
        ]

    def _ask(
        self, model: str, task: Task, rows: Mapping[int, Row], size: int
    ) -> tuple[dict[int, dict[str, Any]], dict[int, str]]:
        """RESULT objects, and reasons of the rows that have none, by the rows' keys."""
        answers: dict[int, dict[str, Any]] = {}
        reasons: dict[int, str] = {}
        waiting = deque(cut(rows, size))
        flying: deque[tuple[list[int], Pending]] = deque()
        try:
            while waiting or flying:
                while waiting and _may_send(waiting[0], flying, rows):
                    batch = waiting.popleft()
                    flying.append((batch, self._transport.send(model, task.inputs, [rows[i] for i in batch])))
                batch, pending = flying.popleft()
                try:
                    results = pending.result()
                except Refused as refusal:
                    told = {batch[row]: why for row, why in refusals(str(refusal), len(batch)).items()}
                    reasons |= told
                    waiting.extendleft(_ask_again(batch, told))
                    continue
                for index, result in zip(batch, results, strict=True):
                    if "error" in result:
                        reasons[index] = reason(result["error"]["message"])
                    else:
                        answers[index] = result
        finally:
            for _, pending in flying:
                pending.cancel()
        return answers, reasons

    def _unknown(self, name: str) -> UnknownTask:
        return UnknownTask(f"the server at {self._transport.url} has no task", name, sorted(self._tasks))


def _may_send(batch: list[int], flying: Iterable[tuple[list[int], Pending]], rows: Mapping[int, Row]) -> bool:
    batches = [batch, *(other for other, _ in flying)]
    size = sum(len(part) for one in batches for index in one for part in rows[index])
    return len(batches) == 1 or (len(batches) <= IN_FLIGHT and size <= IN_FLIGHT_BYTES)


def _ask_again(batch: list[int], told: Mapping[int, str]) -> list[list[int]]:
    """What to send after a refusal: the items it gave no reason for, or both halves where it gave none."""
    rest = [index for index in batch if index not in told]
    if told:
        return [rest] if rest else []
    return [rest[: len(rest) // 2], rest[len(rest) // 2 :]]
