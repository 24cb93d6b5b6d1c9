"""HTTP/1.1 as uvicorn reads it, for clients that offer HTTP/2 with their first request, as Java's does."""

from __future__ import annotations

import re

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

_OFFER = re.compile(rb"\r\nupgrade:[ \t]*h2c[ \t]*(?=\r\n)", re.IGNORECASE)


class Protocol(HttpToolsProtocol):
    """Leaves out the header `Upgrade: h2c`, which a server may ignore: httptools would take the body for HTTP/2."""

    def data_received(self, data: bytes) -> None:
        """Bytes of a connection; a request's headers come in one piece where they are short."""
        head, blank, body = data.partition(b"\r\n\r\n")
        if blank and b"h2c" in head:
            data = _OFFER.sub(b"", head, count=1) + blank + body
        super().data_received(data)
