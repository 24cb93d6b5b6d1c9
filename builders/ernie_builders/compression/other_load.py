"""How much of this machine's processors other programs took while something was measured."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path

STAT = Path("/proc/stat")
BUSY = 0.1  # of the processors: with more than this taken by others, ratios of speeds are not to be relied on


class OtherLoad:
    """Measures from its creation to `share`.

    children: running processes of this one, by id, that are not others.
    """

    def __init__(self, children: Sequence[int]) -> None:
        self._children = children
        self._busy, self._own, self._start = _busy_seconds(), _own_seconds(children), time.monotonic()

    def share(self) -> float | None:
        """What other programs took of the processors that this process may use, 0 to 1; None if the system won't say.

        The children must still run.
        """
        seconds = time.monotonic() - self._start
        busy = _busy_seconds()
        if busy is None or self._busy is None or seconds <= 0:
            return None
        others = busy - self._busy - (_own_seconds(self._children) - self._own)
        return round(min(1.0, max(0.0, others / (seconds * len(os.sched_getaffinity(0))))), 2)


def _busy_seconds() -> float | None:
    """Of the processors that this process may use, since the machine started; None where /proc does not say."""
    names = {f"cpu{number}" for number in os.sched_getaffinity(0)}
    try:
        rows = [line.split() for line in STAT.read_text(encoding="ascii").splitlines()]
        # user, nice, system, idle, iowait, irq, softirq, steal (time that the hypervisor gave to other machines)
        ticks = [list(map(int, row[1:9])) for row in rows if row and row[0] in names]
    except (OSError, ValueError):
        return None
    used = sum(sum(row) - row[3] - row[4] for row in ticks if len(row) == 8)
    return used / os.sysconf("SC_CLK_TCK") if used else None


def _own_seconds(children: Sequence[int]) -> float:
    """Processor time of this process, of children that have ended, and of those that still run."""
    times = os.times()
    return sum(times[:4]) + sum(map(_seconds_of, children))


def _seconds_of(process: int) -> float:
    try:
        text = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0.0
    fields = text.rpartition(")")[2].split()  # the name in brackets may have blanks
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
