"""HTTP/1.1 as uvicorn reads it, with bounds on what is no body; and for clients that offer HTTP/2, as Java's does.

uvicorn itself waits for ever for the head of a request and keeps whatever it has of it, and of trailers.
"""

from __future__ import annotations

import asyncio
import re
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_SECONDS = 10.0  # from the connection, or the first byte of a further request, to the end of its head
HEAD_BYTES = 64 * 2**10  # of a head, or of trailers
CHUNK_BYTES = 8  # besides, for each byte of a body that comes in chunks
CONNECTIONS = 4096  # of a worker; a further one is closed at once
TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"
_OFFER = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n)", re.IGNORECASE)


class Protocol(HttpToolsProtocol):
    """Leaves out the header `Upgrade: h2c`, which a server may ignore: httptools would take the body for HTTP/2."""

    def __init__(self, *arguments: Any, **settings: Any) -> None:
        super().__init__(*arguments, **settings)
        self._late: asyncio.TimerHandle | None = None
        self._besides = 0  # bytes of this request that are no body, less what they may be
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A caller: its head must come in time."""
        super().connection_made(transport)
        if len(self.connections) > CONNECTIONS:
            transport.abort()
            return
        self._late = self.loop.call_later(HEAD_SECONDS, self._is_late)

    def connection_lost(self, exc: Exception | None) -> None:
        """The caller has gone."""
        self._in_time()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Bytes of a connection; a request's headers come in one piece where they are short."""
        if self._in_head and b"h2c" in data:
            head, blank, body = data.partition(b"\r\n\r\n")
            if blank:
                data = _OFFER.sub(b"", head, count=1) + blank + body
        self._besides += len(data)
        super().data_received(data)
        if self._besides > HEAD_BYTES and not self.transport.is_closing():
            if not self._is_answering():
                self.transport.write(TOO_LARGE)
            self.transport.close()

    def on_message_begin(self) -> None:
        """The first byte of a request."""
        super().on_message_begin()
        self._in_head = True
        if self._late is None:
            self._late = self.loop.call_later(HEAD_SECONDS, self._is_late)

    def on_headers_complete(self) -> None:
        """The end of a head."""
        self._in_time()
        self._in_head, self._besides = False, 0
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """A part of a body."""
        self._besides = max(0, self._besides - (1 + CHUNK_BYTES) * len(body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The end of a request."""
        self._in_head, self._besides = True, 0
        super().on_message_complete()

    def _is_late(self) -> None:
        self._late = None
        if self._is_answering():  # and reads no further meanwhile: that is not the caller's fault
            self._late = self.loop.call_later(HEAD_SECONDS, self._is_late)
        else:
            self.transport.abort()

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _in_time(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None
