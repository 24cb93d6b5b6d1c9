"""Admission control: how many rows are accepted, so that they are answered in time, while others are refused at once.

An ensemble refuses at its tokenizer, the first of its models (`InFlightLimit`); the encoders report to it what they
have finished (completions.py). A fused model, and an encoder that is asked directly, only know their own executions
(`ExecutionLimit`).
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

DIRECT_SHARE = 0.18  # of the SLO, for one execution of a model that no tokenizer refuses for
ENCODER_SHARE = 1.0  # of the SLO, for one execution of an encoder whose tokenizer refuses for it
IN_FLIGHT_SHARE = 0.5  # of the SLO, for all rows past the tokenizer: the rest is for the other steps and the client
FIRST_ROWS = 16  # in an execution before the speed is known
UNBOUNDED = 1 << 30
WEIGHT = 0.2  # of the newest value in a running mean


class Sender(Protocol):
    """See completions.Outbox."""

    def send(self, rows: int, row_seconds: float) -> None:
        """Report that `rows` have finished; row_seconds: the time per row, 0 if unknown."""


class Receiver(Protocol):
    """See completions.Inbox."""

    def receive(self) -> Iterable[tuple[int, float]]:
        """The reports since the last call: rows, seconds per row."""


@dataclass(frozen=True, kw_only=True)
class Execution:
    """The outcome of one execution, in rows (texts of a tokenizer, windows of an encoder)."""

    processed: int
    succeeded: int  # of the processed rows, those in requests that did not fail
    outputs: int
    dropped: int  # refused, or cancelled by their callers
    seconds: float


class Admission(Protocol):
    """What `backend.execute` asks."""

    def room(self) -> int:
        """Rows that this execution may process; with any room at all, the first request is processed whole."""

    def ended(self, execution: Execution) -> None:
        """Take note of an execution that has ended."""


class ExecutionLimit:
    """Bounds the rows of one execution by the recent time per row.

    An execution of a Python backend gets all requests that waited for it. While it runs, Triton fetches the next ones
    ahead, so a request waits for up to three executions: the running one, the fetched one, its own. What exceeds the
    execution's share of the SLO is refused when the execution ends, so the backlog never outlives it.

    slo_ms: above 0. share: of the SLO, for one execution. outbox: gets a report of finished rows and of their speed.
    """

    def __init__(self, slo_ms: float, share: float = DIRECT_SHARE, outbox: Sender | None = None) -> None:
        self._seconds, self.outbox = share * slo_ms / 1000, outbox
        self._row_seconds = 0.0

    def room(self) -> int:
        """At least 1."""
        return max(1, int(self._seconds / self._row_seconds)) if self._row_seconds else FIRST_ROWS

    def ended(self, execution: Execution) -> None:
        """Update the speed, and report to the tokenizer."""
        if execution.processed:
            self._row_seconds = _mean(self._row_seconds, max(execution.seconds, 1e-9) / execution.processed)
        if self.outbox is not None:
            self.outbox.send(execution.processed + execution.dropped, self._row_seconds)


class InFlightLimit:
    """Bounds the rows in flight past the tokenizer: as many as the encoders finish in a share of the SLO.

    slo_ms: above 0. inbox: the encoders' reports. Rows that no report covers (Triton drops requests that are cancelled
    between the steps) count as in flight for the SLO, or twice the time that all rows in flight should take.
    """

    def __init__(self, slo_ms: float, inbox: Receiver, clock: Callable[[], float] = time.monotonic) -> None:
        self._slo, self.inbox, self._clock = slo_ms / 1000, inbox, clock
        self._row_seconds = 0.0
        self._rows_per_text = 1.0
        self._in_flight: deque[tuple[float, int]] = deque()  # when they were accepted, rows
        self._rows = 0  # in flight

    def room(self) -> int:
        """Texts; unbounded until an encoder has reported its speed, at least 1 where nothing is in flight."""
        for rows, seconds in self.inbox.receive():
            if seconds:
                self._row_seconds = _mean(self._row_seconds, seconds)
            self._finished(rows)
        expired = self._clock() - max(self._slo, 2 * self._rows * self._row_seconds)
        while self._in_flight and self._in_flight[0][0] < expired:
            self._rows -= self._in_flight.popleft()[1]
        if not self._row_seconds:
            return UNBOUNDED
        free = IN_FLIGHT_SHARE * self._slo / self._row_seconds - self._rows
        return max(int(free / self._rows_per_text), 0 if self._rows else 1)

    def ended(self, execution: Execution) -> None:
        """Its outputs are in flight now."""
        if execution.outputs:
            self._rows_per_text = _mean(self._rows_per_text, execution.outputs / execution.succeeded)
            self._in_flight.append((self._clock(), execution.outputs))
            self._rows += execution.outputs

    def _finished(self, rows: int) -> None:
        """The oldest rows in flight are assumed to be the finished ones."""
        while rows and self._in_flight:
            accepted, oldest = self._in_flight.popleft()
            self._rows -= min(oldest, rows)
            if oldest > rows:
                self._in_flight.appendleft((accepted, oldest - rows))
            rows -= min(oldest, rows)


def _mean(mean: float, newest: float) -> float:
    return mean + (newest - mean) * (WEIGHT if mean else 1.0)
