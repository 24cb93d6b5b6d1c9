"""Decides what to send, to wait for and to ask again, without doing it; a bad text costs no other its answer.

`exchange` and `resolve_steps` are generators of steps. A driver does each step and sends its result back, or throws
its error in: `drive` below for blocking clients, `drive_async` in async_requests.py.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from .errors import ErnieTritonError, LocalError, ServerError
from .items import Grouper, Row, item_reason, refused_rows
from .replies import Pending, Refused, Reply

IN_FLIGHT = 8  # requests of one call that are in flight at a time
IN_FLIGHT_BYTES = 128_000  # of text in them; more would wait on a slow server until the timeout


Outcome = Reply | str
"""A reply, or the reason why there is none."""
AskRows = Callable[[Sequence[Row]], list[Outcome]]
"""Asks for some rows and waits. Raises Refused, or ServerError or LocalError where the rows may not be to blame."""


class Cancellable(Protocol):
    """A request in flight, of a blocking client or of an asyncio one."""

    def cancel(self) -> None:
        """Stop waiting for it."""


@dataclass(frozen=True)
class Read:
    """Get the caller's next entry: a row, a reason (str), or None at the end."""


@dataclass(frozen=True)
class Send:
    """Start a request; the result is a `Cancellable`."""

    rows: Sequence[Row]


@dataclass(frozen=True)
class Receive:
    """Wait for the replies of a request, one per row."""

    pending: Any


@dataclass(frozen=True)
class Deliver:
    """Give the caller these outcomes, which are its next ones in order."""

    outcomes: Sequence[Outcome]


Step = Read | Send | Receive | Deliver


@dataclass(frozen=True)
class _Sent:
    """Entries of the caller in order, and the request with those among them that are rows."""

    entries: Sequence[Row | str]
    pending: Cancellable | None

    @property
    def bytes(self) -> int:
        return _text_bytes(self.entries)


def exchange(size: int, known_good: Row | None = None) -> Generator[Step, Any, None]:
    """Delivers one outcome for each entry, in order; reads only as many entries ahead as may be in flight.

    size: the maximum of rows in a request. known_good: see `resolve_steps`; without it a server's failure is raised.
    """
    groups = _Groups(size)
    in_flight: deque[_Sent] = deque()
    next_group = yield from groups.next()
    try:
        while next_group is not None or in_flight:
            while next_group is not None and _may_send(next_group, in_flight):
                rows = [entry for entry in next_group if isinstance(entry, tuple)]
                in_flight.append(_Sent(next_group, (yield Send(rows)) if rows else None))
                next_group = yield from groups.next()
            yield Deliver((yield from resolve_steps(in_flight[0].entries, in_flight[0].pending, known_good)))
            in_flight.popleft()
    finally:
        for sent in in_flight:
            if sent.pending is not None:
                sent.pending.cancel()


def resolve_steps(
    entries: Sequence[Row | str], pending: Cancellable | None = None, known_good: Row | None = None
) -> Generator[Step, Any, list[Outcome]]:
    """Outcomes of the entries of one request, which is `pending`, or still to be sent.

    Refused rows get their reason, and the others are sent again. A failure (INTERNAL) names no row. Where the server
    still answers `known_good`, a row that the task can surely answer, the rows are halved until the guilty ones stand
    alone, and only these get the failure as their reason; else the failure is raised.
    """
    outcomes: dict[int, Outcome] = {i: entry for i, entry in enumerate(entries) if isinstance(entry, str)}
    rows = {i: entry for i, entry in enumerate(entries) if isinstance(entry, tuple)}
    batches = deque([list(rows)] if rows else [])
    healthy = False
    while batches:
        batch = batches.popleft()
        try:
            if pending is None:
                pending = yield Send([rows[i] for i in batch])
            replies = _outcomes((yield Receive(pending)))
        except Refused as refusal:
            reasons = {batch[row]: reason for row, reason in refused_rows(str(refusal), len(batch)).items()}
            outcomes |= reasons
            batches.extendleft(reversed(retry_batches(batch, reasons)))
        except (ServerError, LocalError) as failure:
            healthy = healthy or (yield from _is_answered(known_good))
            if not healthy:
                raise
            if len(batch) == 1:
                outcomes[batch[0]] = str(failure)
            else:
                batches.extendleft(reversed(retry_batches(batch, {})))
        else:
            outcomes |= zip(batch, replies, strict=True)
        pending = None
    return [outcomes[i] for i in range(len(entries))]


def drive(
    steps: Generator[Step, Any, None], send: Callable[[Sequence[Row]], Pending], entries: Iterable[Row | str]
) -> Iterator[Outcome]:
    """Does the steps one after the other; yields what they deliver. Closed early, it cancels what is in flight."""
    source, result = iter(entries), None
    error: ErnieTritonError | None = None
    try:
        while True:
            step = steps.send(result) if error is None else steps.throw(error)
            result, error = None, None
            if isinstance(step, Deliver):
                yield from step.outcomes
                continue
            try:
                result = _do(step, send, source)
            except ErnieTritonError as failure:
                error = failure
    except StopIteration:
        return
    finally:
        steps.close()


def send_bounded(
    send: Callable[[Sequence[Row]], Pending],
    entries: Iterable[Row | str],
    size: int,
    known_good: Row | None = None,
) -> Iterator[Outcome]:
    """`exchange`, done by `send`, which starts a request and returns at once. entries: rows, or reasons (str)."""
    return drive(exchange(size, known_good), send, entries)


def resolve(entries: Sequence[Row | str], ask: AskRows, known_good: Row | None = None) -> list[Outcome]:
    """`resolve_steps`, done by `ask`."""

    def steps() -> Generator[Step, Any, None]:
        yield Deliver((yield from resolve_steps(entries, known_good=known_good)))

    return list(drive(steps(), lambda rows: _Asked(ask, rows), ()))


def retry_batches(batch: list[int], reasons: Mapping[int, str]) -> list[list[int]]:
    """What to send after a refusal: the rows without a reason, or both halves of the batch where none has one."""
    rest = [index for index in batch if index not in reasons]
    if reasons:
        return [rest] if rest else []
    return [rest[: len(rest) // 2], rest[len(rest) // 2 :]]


class _Groups:
    """The caller's entries in groups, each of which makes one request."""

    def __init__(self, rows: int) -> None:
        self._grouper, self._ready, self._ended = Grouper(rows), deque[list[Row | str]](), False

    def next(self) -> Generator[Step, Any, list[Row | str] | None]:
        """The next group; None at the end."""
        while not self._ready and not self._ended:
            entry = yield Read()
            self._ended = entry is None
            self._ready.extend(self._grouper.rest() if entry is None else self._grouper.add(entry))
        return self._ready.popleft() if self._ready else None


class _Asked:
    """Rows for a function that waits; see replies.Pending."""

    def __init__(self, ask: AskRows, rows: Sequence[Row]) -> None:
        self._ask, self._rows = ask, rows

    def result(self) -> Sequence[Outcome]:
        return self._ask(self._rows)

    def cancel(self) -> None:
        """Nothing is in flight."""


def _do(step: Read | Send | Receive, send: Callable[[Sequence[Row]], Pending], source: Iterator[Row | str]) -> Any:
    if isinstance(step, Read):
        return next(source, None)
    return send(step.rows) if isinstance(step, Send) else step.pending.result()


def _is_answered(row: Row | None) -> Generator[Step, Any, bool]:
    if row is None:
        return False
    try:
        return isinstance(_outcomes((yield Receive((yield Send([row])))))[0], Reply)
    except ErnieTritonError:
        return False


def _outcomes(replies: Sequence[Outcome]) -> list[Outcome]:
    return [
        item_reason(reply.raw["error"]["message"]) if isinstance(reply, Reply) and "error" in reply.raw else reply
        for reply in replies
    ]


def _may_send(group: Sequence[Row | str], in_flight: Sequence[_Sent]) -> bool:
    size = _text_bytes(group) + sum(sent.bytes for sent in in_flight)
    return not in_flight or (len(in_flight) < IN_FLIGHT and size <= IN_FLIGHT_BYTES)


def _text_bytes(entries: Sequence[Row | str]) -> int:
    return sum(len(part) for entry in entries if isinstance(entry, tuple) for part in entry)
