"""Sends texts in requests, a few in flight at a time: outcomes in order, and bad texts cost no others their answers."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from .errors import ErnieTritonError, LocalError, ServerError
from .items import Row, group_rows, item_reason, refused_rows
from .replies import Pending, Refused, Reply

IN_FLIGHT = 8  # requests of one call that are in flight at a time
IN_FLIGHT_BYTES = 128_000  # of text in them; more would wait on a slow server until the timeout


Outcome = Reply | str
"""A reply, or the reason why there is none."""
AskRows = Callable[[Sequence[Row]], list[Outcome]]
"""Asks for some rows and waits. Raises Refused, or ServerError or LocalError where the rows may not be to blame."""


@dataclass(frozen=True)
class _Sent:
    """Entries of the caller in order, and the request with those among them that are rows."""

    entries: Sequence[Row | str]
    pending: Pending | None

    @property
    def bytes(self) -> int:
        return _text_bytes(self.entries)


def send_bounded(
    send: Callable[[Sequence[Row]], Pending],
    entries: Iterable[Row | str],
    size: int,
    known_good: Row | None = None,
) -> Iterator[Outcome]:
    """One outcome for each entry, in order; reads only as many entries ahead as may be in flight.

    send: starts a request and returns at once. entries: rows, or reasons (str), which are passed through.
    size: the maximum of rows in a request. known_good: see `resolve`; without it a server's failure is raised.
    """

    def ask(rows: Sequence[Row]) -> list[Outcome]:
        return _outcomes(send(rows).result())

    groups = group_rows(entries, size)
    in_flight: deque[_Sent] = deque()
    next_group = next(groups, None)
    try:
        while next_group is not None or in_flight:
            while next_group is not None and _may_send(next_group, in_flight):
                rows = [entry for entry in next_group if isinstance(entry, tuple)]
                in_flight.append(_Sent(next_group, send(rows) if rows else None))
                next_group = next(groups, None)
            yield from resolve(in_flight[0].entries, ask, in_flight[0].pending, known_good)
            in_flight.popleft()
    finally:
        for sent in in_flight:
            if sent.pending is not None:
                sent.pending.cancel()


def resolve(
    entries: Sequence[Row | str], ask: AskRows, pending: Pending | None = None, known_good: Row | None = None
) -> list[Outcome]:
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
            replies = _outcomes(pending.result()) if pending is not None else ask([rows[i] for i in batch])
        except Refused as refusal:
            reasons = {batch[row]: reason for row, reason in refused_rows(str(refusal), len(batch)).items()}
            outcomes |= reasons
            batches.extendleft(reversed(retry_batches(batch, reasons)))
        except (ServerError, LocalError) as failure:
            healthy = healthy or _is_answered(ask, known_good)
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


def retry_batches(batch: list[int], reasons: Mapping[int, str]) -> list[list[int]]:
    """What to send after a refusal: the rows without a reason, or both halves of the batch where none has one."""
    rest = [index for index in batch if index not in reasons]
    if reasons:
        return [rest] if rest else []
    return [rest[: len(rest) // 2], rest[len(rest) // 2 :]]


def _is_answered(ask: AskRows, row: Row | None) -> bool:
    if row is None:
        return False
    try:
        return isinstance(ask([row])[0], Reply)
    except ErnieTritonError:
        return False


def _outcomes(replies: Sequence[Reply]) -> list[Outcome]:
    return [item_reason(reply.raw["error"]["message"]) if "error" in reply.raw else reply for reply in replies]


def _may_send(group: Sequence[Row | str], in_flight: Sequence[_Sent]) -> bool:
    size = _text_bytes(group) + sum(sent.bytes for sent in in_flight)
    return not in_flight or (len(in_flight) < IN_FLIGHT and size <= IN_FLIGHT_BYTES)


def _text_bytes(entries: Sequence[Row | str]) -> int:
    return sum(len(part) for entry in entries if isinstance(entry, tuple) for part in entry)
