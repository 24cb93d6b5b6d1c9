"""Whether the processes of a server's models still have something to do: Triton does not say."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from ernie_serve import stubs

PAUSE_SECONDS, TICK_SECONDS = 0.2, 0.01  # between two looks at the models' processes; what the kernel counts time in
STILL_LOOKS = 2
STILL_SECONDS, STILL_SHARE = 2.0, 0.05
"""A process that has spent less than this share of the time on a core does nothing."""


def wait_until_idle(prefix: str, refusing: Path, limit: float, is_over: Callable[[], bool]) -> None:
    """Wait until the models' processes do nothing, `limit` seconds at most, and not once `is_over`.

    Once Triton stops, it refuses the next step of an ensemble's request, too: what it had accepted would fail.
    Processes that refuse all that comes have nothing left, though callers may keep them busy for ever: each makes a
    file of the name of `refusing` and its id. prefix: what the names of the server's shared memory begin with.
    """
    deadline, still = time.monotonic() + limit, 0
    while still < STILL_LOOKS:
        if is_over() or time.monotonic() > deadline:
            return
        pids = [stub.pid for stub in stubs.stubs_of(prefix) if not Path(f"{refusing}.{stub.pid}").exists()]
        before = stubs.cpu_seconds(pids)
        time.sleep(PAUSE_SECONDS)
        has_worked = stubs.cpu_seconds(pids) - before > TICK_SECONDS or stubs.wants_a_core(pids)
        still = 0 if has_worked else still + 1


def are_still(prefix: str, seconds: float) -> bool:
    """Whether the models' processes do next to nothing for so many seconds."""
    pids = [stub.pid for stub in stubs.stubs_of(prefix)]
    before = stubs.cpu_seconds(pids)
    time.sleep(seconds)
    return stubs.cpu_seconds(pids) - before < STILL_SHARE * STILL_SECONDS
