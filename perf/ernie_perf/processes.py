"""CPU time and memory of the server's processes by role, from /proc."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")
SERVER = "tritonserver"
STUB = "triton_python_backend_stub"


@dataclass(frozen=True)
class Usage:
    """Of all processes of a role: CPU seconds so far, resident bytes now, and how many there are."""

    cpu_s: float = 0.0
    rss: int = 0
    count: int = 0

    def plus(self, cpu_s: float, rss: int) -> Usage:
        """With one more process."""
        return Usage(self.cpu_s + cpu_s, self.rss + rss, self.count + 1)


def usage(pid: int) -> dict[str, Usage]:
    """Role -> usage of `pid` and its descendants: `tritonserver`, and each Python stub by its model.

    Other processes (the guard) are left out; one that ends meanwhile too.
    """
    found: dict[str, Usage] = {}
    for one in descendants(pid):
        try:
            role = role_of((PROC / str(one) / "cmdline").read_bytes().decode("utf-8", "replace").split("\0"))
            if role is None:
                continue
            fields = (PROC / str(one) / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            pages = int((PROC / str(one) / "statm").read_text(encoding="utf-8").split()[1])
        except OSError:
            continue
        found[role] = found.get(role, Usage()).plus((int(fields[11]) + int(fields[12])) / TICKS, pages * PAGE)
    return found


def role_of(arguments: list[str]) -> str | None:
    """`tritonserver`, or the model that a stub runs (REPOSITORY/MODEL/VERSION/FILE is its first argument)."""
    name = Path(arguments[0]).name
    if name == SERVER:
        return SERVER
    if name == STUB and len(arguments) > 1:
        return Path(arguments[1]).parent.parent.name
    return None


def descendants(pid: int) -> list[int]:
    """`pid` and all processes under it."""
    children: dict[int, list[int]] = {}
    for folder in PROC.iterdir():
        if folder.name.isdigit():
            try:
                stat = (folder / "stat").read_text(encoding="utf-8")
            except OSError:
                continue
            children.setdefault(int(stat.rpartition(")")[2].split()[1]), []).append(int(folder.name))
    found, waiting = [], [pid]
    while waiting:
        one = waiting.pop()
        found.append(one)
        waiting += children.get(one, [])
    return found


def spent(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, dict[str, float]]:
    """Role -> CPU seconds between two readings, and the memory and number of processes at the second."""
    return {
        role: {
            "cpu_s": round(now.cpu_s - before.get(role, Usage()).cpu_s, 2),
            "rss": now.rss,
            "processes": now.count,
        }
        for role, now in after.items()
    }
