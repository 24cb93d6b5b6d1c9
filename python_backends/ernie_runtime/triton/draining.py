"""A server that ends: the first step of a task refuses what is new, and answers what had come before.

Triton itself takes requests until it is told to end, and from then on refuses the further steps of those it has taken.
So `ernie-triton serve` lets the first steps refuse, waits until nothing is left to do, and only then tells Triton. A
process that refuses says so with a file, so that its refusals are not taken for work.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

VARIABLE = "ERNIE_DRAINING"
"""Of the server's environment: a file that exists once the server is about to end."""
REASON = "not ready: the server is stopping"
MARGIN_SECONDS = 0.1  # so long a request may take from Triton's port to here
GAP_SECONDS = 0.05  # between two executions: nothing was queued
QUEUED, QUEUED_SECONDS = 2, 5.0
"""What was queued is answered by so many executions, or in that time, where callers never leave a gap."""


class Draining:
    """Of one process. file: empty where nobody announces the end. clock: seconds since the epoch, as a file's time."""

    def __init__(self, file: str = "", clock: Callable[[], float] = time.time) -> None:
        self._file, self._clock = file, clock
        self._ended, self._executions, self._refuses = 0.0, 0, False

    @classmethod
    def from_environment(cls) -> Draining:
        """As `ernie-triton serve` starts the server."""
        return cls(os.environ.get(VARIABLE, ""))

    def refuses(self) -> bool:
        """Asked once before each execution: whether its requests are new ones."""
        if not self._file:
            return False
        try:
            since = Path(self._file).stat().st_mtime
        except OSError:
            return False
        now = self._clock()
        is_queued = self._ended >= since and now < self._ended + GAP_SECONDS
        if self._refuses or now < since + MARGIN_SECONDS:
            return self._refuses
        self._executions += 1
        self._refuses = not is_queued or (self._executions > QUEUED and now > since + QUEUED_SECONDS)
        if self._refuses:
            Path(f"{self._file}.{os.getpid()}").touch(0o600)  # this process has answered all that it will
        return self._refuses

    def ended(self) -> None:
        """Called after each execution."""
        self._ended = self._clock()
