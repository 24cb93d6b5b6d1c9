"""Decides which requests of different callers go to the server as one, and when, without sending anything.

A request costs Triton about as much with one text as with several. So while a few requests are on their way, what
arrives waits, and goes together once one of them is answered; where none is on its way, nothing waits.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Generic, Protocol, TypeVar

from .items import REQUEST_BYTES
from .wire import ModelRequest

TRACE = "traceparent"
_SAMPLED = 1  # of its flags, in the last two characters


@dataclass(frozen=True, kw_only=True)
class Gathering:
    """How requests are gathered: those for the same model with equal options, parameters and headers."""

    in_flight: int = 2
    """Requests of a kind that are on their way before others wait for them."""
    observe: Callable[[str, int], None] | None = None
    """Is told the model and the number of texts of each request that is sent."""

    def __post_init__(self) -> None:
        if self.in_flight < 1:
            raise ValueError(f"in_flight is {self.in_flight}; it must be at least 1")


class Entry(Protocol):
    """One caller's request."""

    @property
    def request(self) -> ModelRequest:
        """As it would be sent alone."""


E = TypeVar("E", bound=Entry)


@dataclass(frozen=True, kw_only=True, eq=False)
class Group(Generic[E]):
    """Requests that go as one."""

    key: Hashable
    entries: Sequence[E]

    def request(self, timeout: float) -> ModelRequest:
        """With the rows of all, in order. timeout: seconds."""
        first = self.entries[0].request
        if len(self.entries) == 1:
            return replace(first, timeout=timeout)
        rows = [row for entry in self.entries for row in entry.request.rows]
        return replace(first, rows=rows, headers=_common(first.headers), timeout=timeout)


@dataclass(kw_only=True)
class _Line(Generic[E]):
    """The requests that may go together."""

    waiting: dict[E, None] = field(default_factory=dict)  # in order
    in_flight: int = 0


class Gatherer(Generic[E]):
    """What waits and what is on its way, by what may go together."""

    def __init__(self, in_flight: int) -> None:
        self._in_flight = in_flight
        self._lines: dict[Hashable, _Line[E]] = {}

    def add(self, entry: E) -> None:
        """A request that may be sent."""
        self._lines.setdefault(_key(entry.request), _Line()).waiting[entry] = None

    def remove(self, entry: E) -> None:
        """Nobody wants this one any more; nothing happens where it is on its way."""
        if (line := self._lines.get(_key(entry.request))) is not None:
            line.waiting.pop(entry, None)

    def ready(self) -> Iterator[Group[E]]:
        """What is to be sent now: full groups, and others where few are on their way."""
        for key, line in list(self._lines.items()):
            while line.waiting:
                entries, full = _first(line.waiting)
                if not full and line.in_flight >= self._in_flight:
                    break
                for entry in entries:
                    del line.waiting[entry]
                line.in_flight += 1
                yield Group(key=key, entries=entries)

    def answered(self, group: Group[E]) -> None:
        """A group is no longer on its way."""
        line = self._lines[group.key]
        line.in_flight -= 1
        if not line.in_flight and not line.waiting:
            del self._lines[group.key]


def may_wait(request: ModelRequest) -> bool:
    """Whether a request has room for others, and is not traced: its spans are to be its own."""
    if is_traced(request.headers):
        return False
    return 2 * len(request.rows) <= request.most_rows and 2 * _bytes(request) <= REQUEST_BYTES


def is_traced(headers: Mapping[str, str]) -> bool:
    """Whether a trace is written of the request with these headers."""
    flags = next((value[-2:] for name, value in headers.items() if name.lower() == TRACE), "00")
    try:
        return bool(int(flags, 16) & _SAMPLED)
    except ValueError:
        return True  # nobody's business but the server's


def _first(waiting: Mapping[E, None]) -> tuple[list[E], bool]:
    """The requests that have waited longest, as many as fit into one; whether no other would fit."""
    entries: list[E] = []
    rows = size = 0
    for entry in waiting:
        rows += len(entry.request.rows)
        size += _bytes(entry.request)
        if entries and (rows > entry.request.most_rows or size > REQUEST_BYTES):
            return entries, True
        entries.append(entry)
        if rows == entry.request.most_rows:
            return entries, True
    return entries, False


def _bytes(request: ModelRequest) -> int:
    return sum(len(part) for row in request.rows for part in row)


def _key(request: ModelRequest) -> Hashable:
    """Equal for requests that may go together."""
    parameters, headers = request.parameters.items(), _common(request.headers).items()
    return request.model, request.most_rows, tuple(request.numeric), frozenset(parameters), frozenset(headers)


def _common(headers: Mapping[str, str]) -> dict[str, str]:
    """Without the trace, which is each caller's own."""
    return {name: value for name, value in headers.items() if name.lower() != TRACE}
