"""What clients offer with their first request does not spoil it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
import uvicorn

from ernie_gateway.protocol import Protocol

BODY = b'{"inputs": ["Upgrade: h2c\r\n\r\n"]}'


@pytest.mark.parametrize("offer", [b"", b"Upgrade: h2c\r\n", b"upgrade:h2c\r\n"])
def test_a_body_is_whole_whether_http2_is_offered_or_not(offer: bytes) -> None:
    """The headers are those of java.net.http.HttpClient."""
    received: list[bytes] = []

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        received.append((await receive())["body"])
        await send({"type": "http.response.start", "status": 204, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def ask() -> bytes:
        config = uvicorn.Config(app, http=Protocol, ws="none", log_level="critical", lifespan="off")
        config.load()
        server = uvicorn.Server(config)
        listening = await asyncio.get_running_loop().create_server(
            lambda: Protocol(config=config, server_state=server.server_state, app_state={}), "127.0.0.1", 0
        )
        reader, writer = await asyncio.open_connection(*listening.sockets[0].getsockname())
        head = b"POST / HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: %d\r\nHost: a\r\n" % len(
            BODY
        )
        writer.write(head + offer + b"HTTP2-Settings: AAEAAEAAAAIAAAAB\r\n\r\n" + BODY)
        line = await asyncio.wait_for(reader.readline(), 10)
        writer.close()
        listening.close()
        return line

    assert asyncio.run(ask()) == b"HTTP/1.1 204 No Content\r\n"
    assert received == [BODY]
