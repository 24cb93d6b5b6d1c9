"""Requests on their way: a few at a time, answers in the order of the texts, one bad text never the others' loss."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from .errors import ErnieTritonError, LocalError, ServerError
from .items import Row, cut, reason, refusals
from .replies import Reply
from .status import Refused

if TYPE_CHECKING:
    from .transport import Pending

IN_FLIGHT = 8  # requests of one call that are on their way at a time
IN_FLIGHT_BYTES = 128_000  # of text in them; more would wait on a slow server until the timeout


Outcome = Reply | str
"""A reply, or the reason why there is none."""
Ask = Callable[[Sequence[Row]], list[Outcome]]
"""Asks for some rows and waits. Raises Refused, or ServerError or LocalError where the rows may not be to blame."""


@dataclass(frozen=True)
class _Sent:
    """Entries of the caller in order, and the request with those among them that are rows."""

    entries: Sequence[Row | str]
    pending: Pending | None

    @property
    def bytes(self) -> int:
        return _size(self.entries)


def fly(
    send: Callable[[Sequence[Row]], Pending],
    entries: Iterable[Row | str],
    size: int,
    known_good: Row | None = None,
) -> Iterator[Outcome]:
    """An outcome an entry, in order; reads only as many entries ahead as may be on their way.

    send: starts a request and returns at once. entries: rows, or reasons (str), which are handed through.
    size: rows of a request, at most. known_good: see `settle`; without it a server's failure is raised.
    """

    def ask(rows: Sequence[Row]) -> list[Outcome]:
        return _outcomes(send(rows).result())

    groups = cut(entries, size)
    flying: deque[_Sent] = deque()
    following = next(groups, None)
    try:
        while following is not None or flying:
            while following is not None and _may_send(following, flying):
                rows = [entry for entry in following if isinstance(entry, tuple)]
                flying.append(_Sent(following, send(rows) if rows else None))
                following = next(groups, None)
            yield from settle(flying[0].entries, ask, flying[0].pending, known_good)
            flying.popleft()
    finally:
        for sent in flying:
            if sent.pending is not None:
                sent.pending.cancel()


def settle(
    entries: Sequence[Row | str], ask: Ask, pending: Pending | None = None, known_good: Row | None = None
) -> list[Outcome]:
    """Outcomes of the entries of one request, which is `pending`, or still to be made.

    What is refused is asked again without the rows that are to blame. A failure (INTERNAL) names no row: where
    `known_good`, a row that the task surely answers, still gets an answer, the rows are halved until the guilty
    ones stand alone, and these alone are lost; else the failure is raised.
    """
    outcomes: dict[int, Outcome] = {i: entry for i, entry in enumerate(entries) if isinstance(entry, str)}
    rows = {i: entry for i, entry in enumerate(entries) if isinstance(entry, tuple)}
    work = deque([list(rows)] if rows else [])
    healthy = False
    while work:
        part = work.popleft()
        try:
            found = _outcomes(pending.result()) if pending is not None else ask([rows[i] for i in part])
        except Refused as refusal:
            told = {part[row]: why for row, why in refusals(str(refusal), len(part)).items()}
            outcomes |= told
            work.extendleft(reversed(ask_again(part, told)))
        except (ServerError, LocalError) as failure:
            healthy = healthy or _answers(ask, known_good)
            if not healthy:
                raise
            if len(part) == 1:
                outcomes[part[0]] = str(failure)
            else:
                work.extendleft(reversed(ask_again(part, {})))
        else:
            outcomes |= zip(part, found, strict=True)
        pending = None
    return [outcomes[i] for i in range(len(entries))]


def ask_again(batch: list[int], told: Mapping[int, str]) -> list[list[int]]:
    """What to send after a refusal: the items it gave no reason for, or both halves where it gave none."""
    rest = [index for index in batch if index not in told]
    if told:
        return [rest] if rest else []
    return [rest[: len(rest) // 2], rest[len(rest) // 2 :]]


def _answers(ask: Ask, row: Row | None) -> bool:
    if row is None:
        return False
    try:
        return isinstance(ask([row])[0], Reply)
    except ErnieTritonError:
        return False


def _outcomes(replies: Sequence[Reply]) -> list[Outcome]:
    return [reason(reply.raw["error"]["message"]) if "error" in reply.raw else reply for reply in replies]


def _may_send(group: Sequence[Row | str], flying: Sequence[_Sent]) -> bool:
    size = _size(group) + sum(sent.bytes for sent in flying)
    return not flying or (len(flying) < IN_FLIGHT and size <= IN_FLIGHT_BYTES)


def _size(entries: Sequence[Row | str]) -> int:
    return sum(len(part) for entry in entries if isinstance(entry, tuple) for part in entry)
