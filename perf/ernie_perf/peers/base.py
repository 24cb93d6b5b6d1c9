"""The interface of a peer, and what servers in processes of their own share."""

from __future__ import annotations

import importlib.util
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

import ernie_perf
import ernie_runtime
from ernie_runtime.install import install_hint

from ..errors import PeerError
from .answers import KINDS, Answer
from .case import Case, Item
from .closed_loop import Run, closed_loop, http_request
from .plain import CASE_VARIABLE

PACKAGES = [str(Path(module.__file__).parents[1]) for module in (ernie_perf, ernie_runtime) if module.__file__]
START_SECONDS = 90.0


class Peer(Protocol):
    """One way to serve a case."""

    name: str  # on the command line and in reports
    what: str  # a line for the report
    packages: tuple[str, ...]  # modules it needs
    extra: str  # the extra of this project that brings them
    kinds: tuple[str, ...]  # of tasks that it serves

    def start(self, case: Case, port: int, example: Item) -> str:
        """Serve the case; the address, once `example` is answered. PeerError where that fails."""

    def run(self, items: Sequence[Item], concurrency: int) -> Run:
        """Answer every item once, at most `concurrency` at a time."""

    def answer(self, body: bytes) -> Answer:
        """One of the run's answers, as `answers` has it."""

    def stop(self) -> None:
        """End what `start` started; may be called at any time, and twice."""


def unfit(peer: Peer, kind: str) -> str:
    """Why a peer cannot serve tasks of a kind here, and what to install; empty where it can."""
    if kind not in peer.kinds:
        return f"serves {', '.join(peer.kinds)} only; the task is {kind}"
    lacking = [name for name in peer.packages if importlib.util.find_spec(name) is None]
    return f"not installed ({', '.join(lacking)}): {install_hint(peer.extra)}" if lacking else ""


def free_port() -> int:
    """A TCP port on the loopback interface that is free now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
        return port


class HttpPeer:
    """A peer that is asked over HTTP; subclasses say `path`, `body` and `answer`, and set `address`."""

    name = what = path = ""
    packages: tuple[str, ...] = ()
    extra = "peers"
    kinds: tuple[str, ...] = tuple(KINDS)

    def __init__(self) -> None:
        self.address = ""

    def body(self, item: Item) -> bytes:
        """The JSON of one request."""
        return json.dumps({"texts": item}, ensure_ascii=False).encode()

    def answer(self, body: bytes) -> Answer:
        """The answer as it is, unless the server wraps it."""
        found: Answer = json.loads(body)
        return found

    def run(self, items: Sequence[Item], concurrency: int) -> Run:
        """A closed loop over all items."""
        requests = [http_request(self.address, self.path, self.body(item)) for item in items]
        return closed_loop(self.address, requests, concurrency)


class ModulePeer(HttpPeer):
    """A server that is a Python module of this package, started as a process with the case in its environment."""

    module = ""
    arguments: tuple[str, ...] = ()  # {port} stands for the port, {folder} for the one given to `prepare`

    def __init__(self) -> None:
        super().__init__()
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def prepare(self, case: Case, folder: Path) -> dict[str, str]:
        """Write what the module needs besides the case; what to add to its environment."""
        del case, folder
        return {}

    def start(self, case: Case, port: int, example: Item) -> str:
        """Start the module and wait for its first answer."""
        self._folder = tempfile.TemporaryDirectory(prefix=f"peer-{self.name}-")
        folder = Path(self._folder.name)
        added, file, log = self.prepare(case, folder), case.write(folder / "case.json"), folder / "log"
        own = (*PACKAGES, os.environ.get("PYTHONPATH"))
        path = os.pathsep.join(filter(None, own))
        command = [
            sys.executable,
            "-m",
            self.module,
            *(part.format(port=port, folder=folder) for part in self.arguments),
        ]
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **added, "PYTHONPATH": path, CASE_VARIABLE: str(file)},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.address = f"127.0.0.1:{port}"
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.run([example], 1)
                return self.address
            except PeerError as error:
                code = self._process.poll()
                if code is not None or time.monotonic() > deadline:
                    said = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
                    self.stop()
                    ended = f"ended with code {code}" if code is not None else f"did not answer ({error})"
                    raise PeerError(f"{self.name} {ended}; its last words: {said[-1]}") from None
                time.sleep(0.2)

    def stop(self) -> None:
        """SIGTERM to the module and its children, SIGKILL to those that stay."""
        if self._process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self._process.pid, number)
                    self._process.wait(10)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
