"""How encoders report to their tokenizer what they have finished: one datagram of 12 bytes per execution.

The models of an ensemble are separate processes, which the server lets exchange only tensors. The sockets have names in
Linux's abstract namespace, which end with their process: nothing to clean up, nothing left from an old server.
"""

from __future__ import annotations

import hashlib
import os
import socket
import struct
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress

MESSAGE = struct.Struct("<Id")  # rows, seconds per row
CREDENTIALS = struct.Struct("3i")  # of the sender: process, user, group
MAX_ROW_SECONDS = 3600.0


def address(model: str, version: str) -> str:
    """The address of version `version` of the tokenizer `model`, in the server that started this process."""
    # Containers that share a network may have servers with the same process id; its namespace tells them apart.
    namespace = os.stat("/proc/self/ns/pid").st_ino
    name = f"{namespace}/{os.getppid()}/{model}/{version}"
    return "\0ernie-" + hashlib.sha256(name.encode()).hexdigest()[:32]


class Outbox:
    """The encoder's end. parallel: instances of the encoder, which finish rows concurrently."""

    def __init__(self, to: str, parallel: int = 1) -> None:
        self._to, self._parallel = to, parallel
        self._socket = _datagram_socket()

    def send(self, rows: int, row_seconds: float) -> None:
        """Report `rows` finished rows and the seconds per row of one instance, 0 if unknown; never waits."""
        with suppress(OSError):  # nobody listens yet, or the buffer is full: unreported rows expire after a while
            self._socket.sendto(MESSAGE.pack(rows, row_seconds / self._parallel), self._to)

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Inbox:
    """The tokenizer's end. warn: called once with a message where it cannot listen."""

    def __init__(self, at: str, warn: Callable[[str], None]) -> None:
        self._at, self._warn, self._warned = at, warn, False
        self._socket: socket.socket | None = None

    def receive(self) -> Iterator[tuple[int, float]]:
        """The reports since the last call: rows, seconds per row.

        None while another instance of the model has the address: one of a reloaded model that is about to end, or one
        beside this one.
        """
        if self._socket is None:
            unbound = _datagram_socket()
            unbound.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
            try:
                unbound.bind(self._at)
            except OSError:
                unbound.close()
                if not self._warned:
                    self._warn("another instance hears the encoders; until it ends, nothing is refused here")
                    self._warned = True
                return
            self._socket = unbound
        while True:
            try:
                message, ancillary, _, _ = self._socket.recvmsg(MESSAGE.size + 1, socket.CMSG_SPACE(CREDENTIALS.size))
            except BlockingIOError:
                return
            if len(message) == MESSAGE.size and _is_ours(ancillary):
                rows, seconds = MESSAGE.unpack(message)
                if 0 <= seconds < MAX_ROW_SECONDS:  # refuse NaN and absurd values
                    yield rows, seconds

    def close(self) -> None:
        """Release the address."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None


def _is_ours(ancillary: Iterable[tuple[int, int, bytes]]) -> bool:
    """Whether the kernel says that this user has sent a message: any process of the machine may send."""
    return any(
        kind == socket.SCM_CREDENTIALS and CREDENTIALS.unpack(data)[1] == os.getuid() for _, kind, data in ancillary
    )


def _datagram_socket() -> socket.socket:
    datagrams = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    datagrams.setblocking(False)
    return datagrams
