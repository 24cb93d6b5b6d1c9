"""Admission control: how many rows are accepted, so that they are answered in time; others are refused.

A Python model refuses by what it knows: how long its own executions took.
"""

from __future__ import annotations

from typing import Protocol

SHARE = 0.18  # of the SLO, for one execution
FIRST_ROWS = 16  # in an execution before the speed is known
UNBOUNDED = 1 << 30
WEIGHT = 0.2  # of the newest value in a running mean


class Admission(Protocol):
    """What `backend.execute` asks."""

    def room(self) -> int:
        """Rows that this execution may process; its first request is processed whole."""

    def ended(self, rows: int, seconds: float) -> None:
        """Take note of an execution that has processed so many rows."""


class ExecutionLimit:
    """Bounds the rows of one execution by the recent time per row.

    An execution of a Python backend gets all requests that waited for it. While it runs, Triton fetches the next ones
    ahead, so a request waits for up to three executions: the running one, the fetched one, its own. What exceeds the
    execution's share of the SLO is refused when the execution ends, so the backlog never outlives it.

    slo_ms: above 0.
    """

    def __init__(self, slo_ms: float) -> None:
        self._seconds = SHARE * slo_ms / 1000
        self._row_seconds = 0.0

    def room(self) -> int:
        """At least 1."""
        return max(1, int(self._seconds / self._row_seconds)) if self._row_seconds else FIRST_ROWS

    def ended(self, rows: int, seconds: float) -> None:
        """Update the speed."""
        newest = max(seconds, 1e-9) / rows
        self._row_seconds += (newest - self._row_seconds) * (WEIGHT if self._row_seconds else 1.0)
