"""How the encoders of a server tell its tokenizer what they have finished: datagrams of 12 bytes, one an execution.

The models of an ensemble are processes of their own, which the server lets exchange tensors only. The sockets have
names in Linux's abstract namespace, which go with the processes: nothing to clean up, nothing that an old server
leaves to a new one.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import suppress

MESSAGE = struct.Struct("<Id")  # rows, seconds a row
LONGEST = 3600.0  # seconds a row


def address(model: str, version: str) -> str:
    """Where version `version` of the tokenizer `model` listens, in the server that started this process."""
    # Containers that share a network have servers of the same process id: the id's namespace tells them apart.
    home = os.stat("/proc/self/ns/pid").st_ino
    name = f"{home}/{os.getppid()}/{model}/{version}"
    return "\0ernie-" + hashlib.sha256(name.encode()).hexdigest()[:32]


class Outbox:
    """An encoder's end. parallel: instances of the encoder, which finish rows at once."""

    def __init__(self, to: str, parallel: int = 1) -> None:
        self._to, self._parallel = to, parallel
        self._socket = _datagrams()

    def send(self, rows: int, row_seconds: float) -> None:
        """Tell that `rows` rows are no longer under way, and what one takes an instance (0: not known); never waits."""
        with suppress(OSError):  # nobody listens yet, or has read for long: rows untold are forgotten after a while
            self._socket.sendto(MESSAGE.pack(rows, row_seconds / self._parallel), self._to)

    def close(self) -> None:
        """Nothing is sent after it."""
        self._socket.close()


class Inbox:
    """The tokenizer's end. warn: told once where it hears nothing."""

    def __init__(self, at: str, warn: Callable[[str], None]) -> None:
        self._at, self._warn, self._warned = at, warn, False
        self._socket: socket.socket | None = None

    def receive(self) -> Iterator[tuple[int, float]]:
        """What has come since: rows, seconds a row. Nothing while another instance of the model has the name: of the
        version of before, which is about to end, or beside this one."""
        if self._socket is None:
            fresh = _datagrams()
            try:
                fresh.bind(self._at)
            except OSError:
                fresh.close()
                if not self._warned:
                    self._warn("another instance hears the encoders; until it ends, nothing is refused here")
                    self._warned = True
                return
            self._socket = fresh
        while True:
            try:
                message = self._socket.recv(MESSAGE.size + 1)
            except BlockingIOError:
                return
            if len(message) == MESSAGE.size:
                rows, seconds = MESSAGE.unpack(message)
                if 0 <= seconds < LONGEST:  # any process of the machine may send: no NaN, nothing that stays for ever
                    yield rows, seconds

    def close(self) -> None:
        """Let another one have the name."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _datagrams() -> socket.socket:
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.setblocking(False)
    return made
