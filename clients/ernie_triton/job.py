"""One call of a client, without input or output: its options checked, its requests, its results."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypeVar

from ernie_runtime.names import OFFSETS_PARAMETER

from .connection import Connection
from .errors import InvalidText, WrongKind
from .items import Item, Row, encode_item, item_parts
from .options import BATCH, VectorOptions
from .replies import Reply
from .requests import Outcome
from .results import CLASSES, Result, Results, TextError, numeric_outputs, parse_result
from .tasks import Task
from .text_result import TextResult
from .vectors import shortener
from .wire import ModelRequest

R = TypeVar("R", bound=TextResult)
_NAMES = frozenset(VectorOptions.__annotations__)


class Job:
    """A task, and the options to ask it with. Raises UnknownTask, ValueError, ErnieTritonError where they are wrong.

    numeric: the outputs to return besides RESULT; None: those that the task's class of results needs.
    """

    def __init__(
        self, task: Task, options: VectorOptions, connection: Connection, numeric: Sequence[str] | None = None
    ) -> None:
        self.task = task
        self.model = task.model(options.get("variant"))
        self.size = min(options.get("batch_size", BATCH), task.max_batch_size or 1)
        self._put_prefix = task.with_prefix(options.get("prefix"))
        self._shorten = shortener(task, options.get("dimensions"))
        self._numeric = numeric_outputs(task.kind) if numeric is None else numeric
        timeout = options.get("timeout")
        self._timeout = connection.timeout if timeout is None else timeout
        self._headers = options.get("headers", {})
        self._parameters: dict[str, str | int] = {}
        if options.get("offsets", "characters") != "characters":
            self._parameters[OFFSETS_PARAMETER] = options["offsets"]
        if options.get("priority"):
            self._parameters["priority"] = options["priority"]

    def entry(self, item: Item) -> Row | str:
        """The row of an item, or the reason why it has none."""
        return encode_item(self._put_prefix(item), self.task.inputs)

    def request(self, rows: Sequence[Row]) -> ModelRequest:
        """The request that asks about rows."""
        return ModelRequest(
            model=self.model,
            inputs=self.task.inputs,
            rows=rows,
            most_rows=self.size,
            numeric=self._numeric,
            parameters=self._parameters,
            headers=self._headers,
            timeout=self._timeout,
        )

    def reply(self, index: int, outcome: Outcome) -> Reply | TextError:
        """What a stream gives for the item at this index."""
        return TextError(index, outcome) if isinstance(outcome, str) else self._shorten(outcome)

    def result(self, index: int, item: Item, outcome: Outcome) -> Result | TextError:
        """The typed answer to the item at this index."""
        reply = self.reply(index, outcome)
        if isinstance(reply, TextError):
            return reply
        sent = item_parts(self._put_prefix(item), self.task.inputs)
        return parse_result(self.task.kind, reply.raw, reply.numeric, () if isinstance(sent, str) else sent)

    def results(self, items: Sequence[Item], outcomes: Sequence[Outcome], on_error: str) -> Results[Result | TextError]:
        """The typed answers; InvalidText, with all reasons, where there are some and `on_error` is raise."""
        reasons = [(i, outcome) for i, outcome in enumerate(outcomes) if isinstance(outcome, str)]
        if reasons and on_error == "raise":
            raise InvalidText(reasons)
        pairs = zip(items, outcomes, strict=True)
        return Results(self.result(i, item, outcome) for i, (item, outcome) in enumerate(pairs))


def check_options(options: Mapping[str, object], on_error: str = "raise") -> None:
    """ValueError or TypeError where a call is wrong whatever its task is."""
    if on_error not in ("raise", "return"):
        raise ValueError(f"on_error is {on_error!r}; it must be 'raise' or 'return'")
    if unknown := sorted(set(options) - _NAMES):
        raise TypeError(f"unknown option {unknown[0]!r}; there are {', '.join(sorted(_NAMES))}")
    batch_size = options.get("batch_size", BATCH)
    if not isinstance(batch_size, int) or batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it must be at least 1")
    timeout = options.get("timeout")
    if timeout is not None and (not isinstance(timeout, int | float) or timeout <= 0):
        raise ValueError(f"timeout is {timeout}; it must be more than 0 seconds")


def check_kind(task: Task, result: type[R] | None) -> None:
    """WrongKind where the answers of a task are of another class."""
    if result is None or result is CLASSES.get(task.kind):
        return
    actual = CLASSES[task.kind].__name__ if task.kind in CLASSES else "RawResult"
    raise WrongKind(f"task {task.name} is of kind {task.kind} and gives {actual}, not {result.__name__}")
