"""How much is let in, so that those who are answered are answered in time and the others are told at once.

An ensemble refuses at its tokenizer, the first of its models (`InFlightLimit`), which its encoders tell what they have
finished (completions.py). A model that is all of its task, and an encoder asked by itself, have only their own
executions to go by (`ExecutionLimit`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

EXECUTION = 0.18  # of the SLO, for one execution of a model without a tokenizer that refuses before it
BEHIND = 1.0  # of the SLO, for one execution of an encoder that has such a tokenizer
IN_FLIGHT = 0.5  # of the SLO, for all that is past the tokenizer: the rest is for the other steps and the client
FIRST_ROWS = 16  # in an execution before the speed is known
UNBOUNDED = 1 << 30
WEIGHT = 0.2  # of the newest figure in a running mean


class Sender(Protocol):
    """completions.Outbox."""

    def send(self, rows: int, row_seconds: float) -> None:
        """So many rows are no longer under way; one takes so long, 0: not known."""


class Receiver(Protocol):
    """completions.Inbox."""

    def receive(self) -> Iterable[tuple[int, float]]:
        """What was sent since."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """What became of an execution's requests, in rows (texts of a tokenizer, windows of an encoder)."""

    taken: int  # that were worked on
    passed: int  # of those, in requests that did not fail
    made: int  # of the outputs
    dropped: int  # refused, or of callers who had cancelled
    seconds: float


class Admission(Protocol):
    """What `triton.execute` asks."""

    def room(self) -> int:
        """Rows that this execution may take; 0: none. The first request is taken whole where there is any room."""

    def over(self, execution: Execution) -> None:
        """An execution has ended."""


class ExecutionLimit:
    """Rows that may be taken at once, from how long rows took lately.

    An execution of a stand-in gets all requests that waited for it. While one is at work Triton fetches the next ahead,
    so a request sees up to three: the one at work, the one fetched, its own. What is beyond an execution's part of the
    SLO is refused when the execution ends, and the backlog never outlives it.

    slo_ms: above 0. part: of it. outbox: told of all rows that are no longer under way, and how long one takes.
    """

    def __init__(self, slo_ms: float, part: float = EXECUTION, outbox: Sender | None = None) -> None:
        self._seconds, self.outbox = part * slo_ms / 1000, outbox
        self._row_seconds = 0.0

    def room(self) -> int:
        """At least 1."""
        return max(1, int(self._seconds / self._row_seconds)) if self._row_seconds else FIRST_ROWS

    def over(self, execution: Execution) -> None:
        """Its speed counts."""
        if execution.taken:
            self._row_seconds = _mean(self._row_seconds, max(execution.seconds, 1e-9) / execution.taken)
        if self.outbox is not None:
            self.outbox.send(execution.taken + execution.dropped, self._row_seconds)


class InFlightLimit:
    """Rows that may be on their way past the tokenizer: as many as the encoders finish in a part of the SLO.

    slo_ms: above 0. inbox: what the encoders tell. Rows that nobody tells of (Triton drops the requests of callers who
    cancel between the steps) count for as long as the SLO, or twice as long as all that is under way should take.
    """

    def __init__(self, slo_ms: float, inbox: Receiver, clock: Callable[[], float] = time.monotonic) -> None:
        self._slo, self.inbox, self._clock = slo_ms / 1000, inbox, clock
        self._row_seconds = 0.0
        self._rows_a_text = 1.0
        self._inside: deque[tuple[float, int]] = deque()  # when let in, rows
        self._rows = 0

    def room(self) -> int:
        """Texts; without a bound until an encoder has told its speed, at least 1 where nothing is under way."""
        for rows, seconds in self.inbox.receive():
            if seconds:
                self._row_seconds = _mean(self._row_seconds, seconds)
            self._finished(rows)
        lost = self._clock() - max(self._slo, 2 * self._rows * self._row_seconds)
        while self._inside and self._inside[0][0] < lost:
            self._rows -= self._inside.popleft()[1]
        if not self._row_seconds:
            return UNBOUNDED
        free = IN_FLIGHT * self._slo / self._row_seconds - self._rows
        return max(int(free / self._rows_a_text), 0 if self._rows else 1)

    def over(self, execution: Execution) -> None:
        """What it made is on its way."""
        if execution.made:
            self._rows_a_text = _mean(self._rows_a_text, execution.made / execution.passed)
            self._inside.append((self._clock(), execution.made))
            self._rows += execution.made

    def _finished(self, rows: int) -> None:
        """The oldest are taken to be the ones that are finished."""
        while rows and self._inside:
            when, first = self._inside.popleft()
            self._rows -= min(first, rows)
            if first > rows:
                self._inside.appendleft((when, first - rows))
            rows -= min(first, rows)


def _mean(mean: float, newest: float) -> float:
    return mean + (newest - mean) * (WEIGHT if mean else 1.0)
