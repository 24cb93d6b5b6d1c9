"""CPU time and memory of the server's processes by role, from /proc."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")
PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
SERVER = "tritonserver"
STUB = "triton_python_backend_stub"


@dataclass(frozen=True, kw_only=True)
class Usage:
    """All processes of a role at one moment."""

    cpu_s: float = 0.0  # CPU seconds since they started
    rss: int = 0  # resident bytes
    count: int = 0

    def plus(self, cpu_s: float, rss: int) -> Usage:
        """With one more process."""
        return Usage(cpu_s=self.cpu_s + cpu_s, rss=self.rss + rss, count=self.count + 1)


@dataclass(frozen=True, kw_only=True)
class UsedResources:
    """All processes of a role between two moments, as records.jsonl has it."""

    cpu_s: float  # CPU seconds spent
    rss: int  # resident bytes at the second moment
    processes: int = 1  # at the second moment


def usage_by_role(pid: int) -> dict[str, Usage]:
    """Role -> usage of `pid` and its descendants: `tritonserver`, and each Python stub by its model.

    Processes without a role (such as the guard) are left out, and so are those that end meanwhile.
    """
    usages: dict[str, Usage] = {}
    for process in descendants(pid):
        folder = PROC / str(process)
        try:
            role = role_of((folder / "cmdline").read_bytes().decode("utf-8", "replace").split("\0"))
            if role is None:
                continue
            fields = (folder / "stat").read_text(encoding="utf-8").rpartition(")")[2].split()
            pages = int((folder / "statm").read_text(encoding="utf-8").split()[1])
        except OSError:
            continue
        cpu_s = (int(fields[11]) + int(fields[12])) / TICKS_PER_SECOND
        usages[role] = usages.get(role, Usage()).plus(cpu_s, pages * PAGE_BYTES)
    return usages


def role_of(arguments: list[str]) -> str | None:
    """`tritonserver`, or the model that a stub runs (its first argument is REPOSITORY/MODEL/VERSION/FILE)."""
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
            parent = int(stat.rpartition(")")[2].split()[1])
            children.setdefault(parent, []).append(int(folder.name))
    tree, waiting = [], [pid]
    while waiting:
        process = waiting.pop()
        tree.append(process)
        waiting += children.get(process, [])
    return tree


def used_between(before: Mapping[str, Usage], after: Mapping[str, Usage]) -> dict[str, UsedResources]:
    """Role -> CPU seconds between two readings, and the memory and number of processes at the second."""
    return {
        role: UsedResources(
            cpu_s=round(usage.cpu_s - before.get(role, Usage()).cpu_s, 2), rss=usage.rss, processes=usage.count
        )
        for role, usage in after.items()
    }
