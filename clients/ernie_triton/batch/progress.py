"""How far a long run is: a line that renews itself on a terminal, a line now and then where there is none."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from ..columns import visible, width

ON_TERMINAL = 0.25  # seconds between two states
IN_FILE = 20.0
BAR = 20  # columns


def duration(seconds: float) -> str:
    """`4:05`, `1:04:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class Progress:
    """Counts lines of one run; `total` is the size of all there is to read, in bytes, where it is known.

    begin: position in bytes where this run began. shown: False to show no state, and only `say`.
    """

    def __init__(
        self,
        label: str,
        total: int | None = None,
        begin: int = 0,
        stream: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
        shown: bool = True,
    ) -> None:
        self._label, self._total, self._begin, self._clock = label, total, begin, clock
        self._stream = stream or sys.stderr
        self._terminal = self._stream.isatty()
        self._started = self._shown = clock()
        self._every = (ON_TERMINAL if self._terminal else IN_FILE) if shown else math.inf
        self._columns = 0

    @property
    def seconds(self) -> float:
        """Since the run began."""
        return self._clock() - self._started

    def update(self, done: int, lines: int, bad: int) -> None:
        """Show the state where it is time: position in the input, lines of this run, bad ones among them."""
        now = self._clock()
        if now - self._shown < self._every:
            return
        self._shown = now
        text = self._state(done, lines, bad, now - self._started)
        if self._terminal:
            columns = shutil.get_terminal_size().columns - 1
            text = text[:columns]
            self._stream.write("\r" + text + " " * max(0, self._columns - width(text)))
            self._columns = width(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def say(self, message: str) -> None:
        """A line of its own, safe beside the state."""
        self.clear()
        self._stream.write(visible(message) + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Take the state off the terminal."""
        if self._columns:
            self._stream.write("\r" + " " * self._columns + "\r")
            self._stream.flush()
            self._columns = 0

    def _state(self, done: int, lines: int, bad: int, seconds: float) -> str:
        parts = [self._label]
        left = ""
        if self._total:
            share = min(done / self._total, 1.0)
            parts.append(f"[{'#' * round(share * BAR):.<{BAR}}] {share:4.0%}")
            if done > self._begin and share < 1:
                left = f"{duration((self._total - done) * seconds / (done - self._begin))} left"
        parts.append(f"{lines:,} line{'s' * (lines != 1)}" + (f", {bad:,} bad" if bad else ""))
        if seconds > 0:
            parts.append(f"{lines / seconds:,.0f}/s")
        return "  ".join([*parts, left] if left else parts)
