"""The progress of a run over a file: a line that is rewritten on a terminal, else a new line from time to time."""

from __future__ import annotations

import math
import shutil
import sys
import time
from collections.abc import Callable
from typing import TextIO

from ..columns import visible, width

TERMINAL_SECONDS = 0.25  # between two updates
LOG_SECONDS = 20.0
BAR = 20  # columns


def duration(seconds: float) -> str:
    """`4:05`, `1:04:05`."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


class FileProgress:
    """Shows how many lines a run has processed, and how long the rest will take.

    total: size of the input in bytes, None if unknown. begin: position in bytes where this run began. shown: False to
    show no progress, and only what `say` is given.
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
        self._every = (TERMINAL_SECONDS if self._terminal else LOG_SECONDS) if shown else math.inf
        self._columns = 0

    @property
    def seconds(self) -> float:
        """Seconds since the run began."""
        return self._clock() - self._started

    def update(self, position: int, lines: int, bad: int) -> None:
        """Show the progress when it is time to. position: in the input, in bytes; lines, bad: counts of this run."""
        now = self._clock()
        if now - self._shown < self._every:
            return
        self._shown = now
        text = self._text(position, lines, bad, now - self._started)
        if self._terminal:
            columns = shutil.get_terminal_size().columns - 1
            text = text[:columns]
            self._stream.write("\r" + text + " " * max(0, self._columns - width(text)))
            self._columns = width(text)
        else:
            self._stream.write(text + "\n")
        self._stream.flush()

    def say(self, message: str) -> None:
        """Write a line of its own, also while the progress is shown."""
        self.clear()
        self._stream.write(visible(message) + "\n")
        self._stream.flush()

    def clear(self) -> None:
        """Erase the progress from the terminal."""
        if self._columns:
            self._stream.write("\r" + " " * self._columns + "\r")
            self._stream.flush()
            self._columns = 0

    def _text(self, position: int, lines: int, bad: int, seconds: float) -> str:
        parts = [self._label]
        remaining = ""
        if self._total:
            share = min(position / self._total, 1.0)
            parts.append(f"[{'#' * round(share * BAR):.<{BAR}}] {share:4.0%}")
            if position > self._begin and share < 1:
                remaining = f"{duration((self._total - position) * seconds / (position - self._begin))} left"
        parts.append(f"{lines:,} line{'s' * (lines != 1)}" + (f", {bad:,} bad" if bad else ""))
        if seconds > 0:
            parts.append(f"{lines / seconds:,.0f}/s")
        return "  ".join([*parts, remaining] if remaining else parts)
