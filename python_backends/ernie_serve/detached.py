"""Remembers servers that run in the background, one small file each, and stops them."""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from ernie_serve.backends import cache_root
from ernie_serve.problems import ServeError

UNLOAD_SECONDS = 15.0
"""Beyond the drain time, for unloading models and clearing up."""


@dataclass(frozen=True, kw_only=True)
class Record:
    """A server in the background; ``started``: when process ``pid`` started, in clock ticks since boot."""

    pid: int
    started: int
    host: str
    http_port: int
    grpc_port: int
    metrics_port: int
    drain_seconds: int
    repository: str
    log_file: str

    @property
    def path(self) -> Path:
        """The file that holds the record."""
        return record_path(self.http_port)

    def alive(self) -> bool:
        """Whether this very process still runs, not another one with the same number."""
        return start_time(self.pid) == self.started

    def write(self) -> None:
        """Save the record. Errors: ServeError when its folder cannot be written."""
        temporary = self.path.with_suffix(f".{os.getpid()}.tmp")
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            temporary.write_text(json.dumps(asdict(self), indent=2) + "\n", encoding="utf-8")
            os.replace(temporary, self.path)
        except OSError as error:
            raise ServeError(f"cannot write {self.path}: {error.strerror}") from None

    def stop(self) -> bool:
        """End the server and remove the record: drain, then kill; True when it drained in time.

        Errors: ServeError when it belongs to another user.
        """
        for number, seconds in (
            (signal.SIGTERM, self.drain_seconds + UNLOAD_SECONDS),
            (signal.SIGQUIT, 15.0),
        ):
            try:
                if self.alive():
                    os.kill(self.pid, number)
            except ProcessLookupError:
                pass  # it ended in the meantime
            except PermissionError:
                raise ServeError(f"no permission to stop process {self.pid}: it is another user's") from None
            deadline = time.monotonic() + seconds
            while self.alive() and time.monotonic() < deadline:
                time.sleep(0.05)
            if not self.alive():
                self.path.unlink(missing_ok=True)
                return number == signal.SIGTERM
        raise ServeError(f"process {self.pid} does not end: kill -9 {self.pid}")


def start_time(pid: int) -> int:
    """Start time of a process in clock ticks since boot; 0 when there is none, or it is a zombie."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return 0
    fields = text.rpartition(")")[2].split()  # the process name before it may hold spaces and brackets
    return 0 if fields[0] in "ZX" else int(fields[19])


def record_path(http_port: int) -> Path:
    """The record file of the server on a port."""
    return cache_root() / f"serve-{http_port}.json"


def running() -> list[Record]:
    """The background servers that still run, sorted by port; records of those that have ended are removed."""
    records = []
    for path in sorted(cache_root().glob("serve-*.json")):
        try:
            record = Record(**json.loads(path.read_text(encoding="utf-8")))
        except (ValueError, TypeError, OSError):
            continue  # written by something else, or by another version
        if record.alive():
            records.append(record)
        else:
            path.unlink(missing_ok=True)
    return sorted(records, key=lambda record: record.http_port)


def find(http_port: int | None) -> Record:
    """The background server on an HTTP port; None for the only one.

    Errors: ServeError when there is no such server, or several and no port.
    """
    records = running()
    matches = [record for record in records if http_port in (None, record.http_port)]
    if len(matches) == 1:
        return matches[0]
    ports = ", ".join(str(record.http_port) for record in records)
    if matches:
        raise ServeError(f"several servers run in the background (HTTP ports {ports}): name one with --http-port")
    place = "" if http_port is None else f" on HTTP port {http_port}"
    others = f"; one runs on {ports}" if ports else ""
    raise ServeError(f"no server runs in the background{place}{others}: start one with serve --detach")
