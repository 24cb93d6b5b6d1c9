"""How much of what waits an execution may take, so that those who are answered are answered in time.

An execution of a stand-in gets all requests that waited for it. While one is at work Triton fetches the next ahead, so
a request sees up to three: the one at work, the one fetched, its own. What is beyond an execution's part of the SLO is
refused when the execution ends, and the backlog never outlives it.
"""

from __future__ import annotations

PART = 0.18  # of the SLO, for one execution: there are three, and the other steps' work beside them
FIRST_ROWS = 16  # admitted before the speed is known
WEIGHT = 0.2  # of the newest execution in the running mean of its seconds a row


class Admission:
    """Rows that may be taken at once, from how long rows took lately. slo_ms: above 0."""

    def __init__(self, slo_ms: float) -> None:
        self._seconds = PART * slo_ms / 1000
        self._row_seconds = 0.0

    @property
    def rows(self) -> int:
        """At least 1."""
        return max(1, int(self._seconds / self._row_seconds)) if self._row_seconds else FIRST_ROWS

    def took(self, rows: int, seconds: float) -> None:
        """An execution of `rows` rows is over."""
        newest = max(seconds, 1e-9) / rows
        self._row_seconds += (newest - self._row_seconds) * (WEIGHT if self._row_seconds else 1.0)
