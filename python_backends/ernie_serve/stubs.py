"""The processes in which Triton's Python backend runs models, and what state they are in."""

from __future__ import annotations

import os
import signal
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

PROGRAM = "triton_python_backend_stub"
STOPPED = frozenset("Tt")
ENDED = frozenset("ZX")
"""States in /proc/PID/stat."""


@dataclass(frozen=True, kw_only=True)
class Stub:
    """One instance of a model. server: pid of its tritonserver."""

    pid: int
    model: str
    server: int
    state: str
    parent: int

    @property
    def is_stopped(self) -> bool:
        """Whether a signal holds it."""
        return self.state in STOPPED


def stubs_of(prefix: str) -> list[Stub]:
    """The stubs that run for the server whose shared memory begins with `prefix`.

    A child that a stub has just forked, to start a program, looks the same for a moment: it is none.
    """
    found = []
    for name in os.listdir("/proc"):
        stub = _read(int(name), prefix) if name.isdigit() else None
        if stub is not None:
            found.append(stub)
    pids = {stub.pid for stub in found}
    return [stub for stub in found if stub.parent not in pids]


def end_leftovers(name: str, prefix: str, seconds: float = 5.0) -> None:
    """Kill what is left of a server whose guard was killed: a tritonserver that still drains holds its ports.

    name: the server's --id. prefix: of its shared memory.
    """
    left = stubs_of(prefix)
    servers = {stub.server for stub in left if name.encode() in _command_line(stub.server)}
    pids = servers | {stub.pid for stub in left}
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + seconds
    while any(map(is_running, pids)) and time.monotonic() < deadline:
        time.sleep(0.02)


def wants_a_core(pids: Iterable[int]) -> bool:
    """Whether a thread of these processes runs, or would if a core were free: on a busy machine it may wait long."""
    for pid in pids:
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            with suppress(OSError):
                if stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[0] == "R":
                    return True
    return False


def instances(stubs: list[Stub]) -> Counter[str]:
    """How many stubs each model has."""
    return Counter(stub.model for stub in stubs)


def is_running(pid: int) -> bool:
    """Whether there is such a process that has not ended."""
    return _state(pid) not in ENDED


def cpu_seconds(pids: Iterable[int]) -> float:
    """Time that processes have spent on cores; those that have ended count nothing."""
    ticks = 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        except (OSError, IndexError):
            continue
    return ticks / os.sysconf("SC_CLK_TCK")


def _state(pid: int) -> str:
    """The letter in /proc/PID/stat; X where there is no such process."""
    return _status(pid)[0]


def _status(pid: int) -> list[str]:
    """The fields of /proc/PID/stat from the letter on, then the parent; X and 0 where there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split() or ["X", "0"]
    except OSError:
        return ["X", "0"]


def _command_line(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return b""


def _read(pid: int, prefix: str) -> Stub | None:
    """Stub of this process; None where it is none of the server's, or has ended.

    Its words: program, file of the model (REPOSITORY/MODEL/VERSION/FILE), name of the shared memory, two sizes, pid of
    tritonserver, ...
    """
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        if len(words) < 6 or not words[0].endswith(PROGRAM.encode()) or not words[2].startswith(prefix.encode()):
            return None
    except OSError:
        return None
    state, parent = _status(pid)[:2]
    if state in ENDED:
        return None
    model = os.fsdecode(words[1]).split("/")[-3]
    return Stub(pid=pid, model=model, server=int(words[5]), state=state, parent=int(parent))
