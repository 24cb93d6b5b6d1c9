"""The interface of a peer, and what all servers that are asked over HTTP share."""

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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import ernie_perf
import ernie_runtime
from ernie_runtime.install import install_hint

from ..errors import PeerError
from .closed_loop import LoopResult, closed_loop, http_request
from .standalone import CASE_VARIABLE, KINDS, Answer, Case, Item

PACKAGES = [str(Path(module.__file__).parents[1]) for module in (ernie_perf, ernie_runtime) if module.__file__]
START_SECONDS = 90.0  # until a server must have answered
STOP_SECONDS = 10.0  # after SIGTERM, then SIGKILL
POLL_SECONDS = 0.2


class Peer(Protocol):
    """One way to serve a case."""

    name: str  # on the command line and in reports
    description: str  # a line for the report
    packages: tuple[str, ...]  # modules that it needs
    extra: str  # the extra of this project that brings them
    kinds: tuple[str, ...]  # of tasks that it serves

    def start(self, case: Case, port: int, example: Item) -> str:
        """Serve the case; the address, once `example` is answered. Errors: PeerError."""

    def run(self, items: Sequence[Item], concurrency: int) -> LoopResult:
        """Answer every item once, at most `concurrency` at a time. Errors: PeerError."""

    def answer(self, body: bytes) -> Answer:
        """One of the run's answers in the form of `standalone.Answers`."""

    def stop(self) -> None:
        """End what `start` started; may be called at any time, and twice."""


def why_unfit(peer: Peer, kind: str) -> str:
    """Why a peer cannot serve tasks of a kind here, and what to install; empty where it can."""
    if kind not in peer.kinds:
        return f"serves {', '.join(peer.kinds)} only; the task is {kind}"
    missing = [name for name in peer.packages if importlib.util.find_spec(name) is None]
    return f"not installed ({', '.join(missing)}): {install_hint(peer.extra)}" if missing else ""


def free_port() -> int:
    """A TCP port on the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


class HttpPeer:
    """A peer that is asked over HTTP; subclasses set `address` and say `path`, `body` and `answer`."""

    name = description = path = ""
    packages: tuple[str, ...] = ()
    extra = "peers"
    kinds: tuple[str, ...] = tuple(KINDS)

    def __init__(self) -> None:
        self.address = ""

    def body(self, item: Item) -> bytes:
        """The JSON of one request."""
        return texts_body(item)

    def answer(self, body: bytes) -> Answer:
        """The answer as it is, unless the server wraps it."""
        return json_answer(body)

    def run(self, items: Sequence[Item], concurrency: int) -> LoopResult:
        """A closed loop over all items."""
        requests = [http_request(self.address, self.path, self.body(item)) for item in items]
        return closed_loop(self.address, requests, concurrency)


def texts_body(item: Item) -> bytes:
    """`{"texts": [...]}`."""
    return json.dumps({"texts": item}, ensure_ascii=False).encode()


def json_answer(body: bytes) -> Answer:
    """The JSON object itself."""
    answer: Answer = json.loads(body)
    return answer


def no_preparation(case: Case, folder: Path) -> Mapping[str, str]:
    """For servers that need nothing besides the case."""
    del case, folder
    return {}


@dataclass(frozen=True, kw_only=True)
class ServerSpec:
    """A server that is a Python module, started as a process with the case in its environment."""

    name: str
    description: str
    packages: tuple[str, ...]
    extra: str = "peers"
    kinds: tuple[str, ...] = tuple(KINDS)
    module: str
    arguments: tuple[str, ...] = ("{port}",)  # {port} stands for the port, {folder} for the one given to `prepare`
    path: str = "/predict"
    prepare: Callable[[Case, Path], Mapping[str, str]] = no_preparation
    """Writes to a folder what the module needs besides the case; returns what to add to its environment."""
    body: Callable[[Item], bytes] = texts_body
    answer: Callable[[bytes], Answer] = json_answer


class ServerPeer(HttpPeer):
    """A `ServerSpec` at work."""

    def __init__(self, spec: ServerSpec) -> None:
        super().__init__()
        self.spec = spec
        self.name, self.description, self.path = spec.name, spec.description, spec.path
        self.packages, self.extra, self.kinds = spec.packages, spec.extra, spec.kinds
        self._process: subprocess.Popen[bytes] | None = None
        self._folder: tempfile.TemporaryDirectory[str] | None = None

    def body(self, item: Item) -> bytes:
        """As the server takes it."""
        return self.spec.body(item)

    def answer(self, body: bytes) -> Answer:
        """As the server gives it."""
        return self.spec.answer(body)

    def start(self, case: Case, port: int, example: Item) -> str:
        """Start the module and wait for its first answer."""
        self._folder = tempfile.TemporaryDirectory(prefix=f"peer-{self.name}-")
        folder = Path(self._folder.name)
        environment = {**os.environ, **self.spec.prepare(case, folder)}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, (*PACKAGES, os.environ.get("PYTHONPATH"))))
        environment[CASE_VARIABLE] = str(case.write(folder / "case.json"))
        arguments = [argument.format(port=port, folder=folder) for argument in self.spec.arguments]
        log = folder / "log"
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", self.spec.module, *arguments],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.address = f"127.0.0.1:{port}"
        self._wait_for_answer(self._process, example, log)
        return self.address

    def _wait_for_answer(self, process: subprocess.Popen[bytes], example: Item, log: Path) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.run([example], 1)
                return
            except PeerError as error:
                code = process.poll()
                if code is not None or time.monotonic() > deadline:
                    lines = log.read_text(encoding="utf-8", errors="replace").strip().splitlines() or ["nothing"]
                    self.stop()
                    reason = f"ended with code {code}" if code is not None else f"did not answer ({error})"
                    raise PeerError(f"{self.name} {reason}; its last words: {lines[-1]}") from None
                time.sleep(POLL_SECONDS)

    def stop(self) -> None:
        """SIGTERM to the module and its children, SIGKILL to those that stay."""
        if self._process is not None:
            for number in (signal.SIGTERM, signal.SIGKILL):
                try:
                    os.killpg(self._process.pid, number)
                    self._process.wait(STOP_SECONDS)
                except (ProcessLookupError, subprocess.TimeoutExpired):
                    continue
            self._process = None
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
