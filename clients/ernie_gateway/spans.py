"""OpenTelemetry: a span for each traced request, in the caller's trace; Triton's spans become its children.

Spans go to the collector as OTLP's JSON over HTTP, a post a second, in a thread: no request waits for it.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import queue
import re
import secrets
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from ernie_runtime.json_types import JsonObject

SERVICE = "ernie-gateway"
POST_SECONDS = 1.0  # between two posts
ANSWER_SECONDS = 5.0  # for the collector
MOST = 4096  # spans that wait for a post; others are dropped
SERVER, FAILED = 2, 2  # of OTLP's kinds and status codes
_PARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})")


@dataclass(frozen=True, kw_only=True)
class Span:
    """A traced request that has begun. parent: a span of its caller; empty: it begins the trace."""

    trace: str
    identity: str
    parent: str
    began: int  # ns since 1970

    @property
    def traceparent(self) -> str:
        """The header that makes others its children."""
        return f"00-{self.trace}-{self.identity}-01"


class Spans:
    """Of one worker. url: of the collector (ernie_runtime.collector); every: traces one request of so many."""

    def __init__(self, url: str, every: int) -> None:
        self._url, self._every, self._count = urlsplit(url), every, 0
        self._ended: queue.Queue[JsonObject] = queue.Queue(MOST)
        self._closing = threading.Event()

    def begin(self, traceparent: str) -> Span | None:
        """A span, where the caller's header asks for one, or has nothing to say and it is this request's turn."""
        match = _PARENT.fullmatch(traceparent.strip())
        trace, parent, flags = match.groups() if match else (secrets.token_hex(16), "", "00")
        if match and not int(flags, 16) & 1:
            return None
        if not match:
            self._count += 1
            if (self._count - 1) % self._every:
                return None
        return Span(trace=trace, identity=secrets.token_hex(8), parent=parent, began=time.time_ns())

    def end(self, span: Span, name: str, attributes: Mapping[str, str | int], *, has_failed: bool) -> None:
        """It is over. Dropped where too many wait."""
        about: JsonObject = {
            "traceId": span.trace,
            "spanId": span.identity,
            "name": name,
            "kind": SERVER,
            "startTimeUnixNano": str(span.began),
            "endTimeUnixNano": str(time.time_ns()),
            "attributes": [_attribute(key, value) for key, value in attributes.items() if value not in ("", None)],
            "status": {"code": FAILED} if has_failed else {},
        }
        with contextlib.suppress(queue.Full):
            self._ended.put_nowait({**about, "parentSpanId": span.parent} if span.parent else about)

    @contextlib.contextmanager
    def posting(self) -> Iterator[None]:
        """Send what ends, until the block does."""
        thread = threading.Thread(target=self._post_all, name="spans", daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._closing.set()
            thread.join(ANSWER_SECONDS)

    def _post_all(self) -> None:
        while not self._closing.wait(POST_SECONDS):
            self._post()
        self._post()

    def _post(self) -> None:
        spans = []
        with contextlib.suppress(queue.Empty):
            while True:
                spans.append(self._ended.get_nowait())
        if not spans:
            return
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=ANSWER_SECONDS)
        with contextlib.suppress(OSError, http.client.HTTPException), contextlib.closing(connection):
            connection.request("POST", self._url.path, json.dumps(_body(spans)), {"content-type": "application/json"})
            connection.getresponse().read()


def _body(spans: Sequence[JsonObject]) -> JsonObject:
    resource = {"attributes": [_attribute("service.name", SERVICE)]}
    return {"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": SERVICE}, "spans": spans}]}]}


def _attribute(key: str, value: str | int) -> JsonObject:
    return {"key": key, "value": {"stringValue": value} if isinstance(value, str) else {"intValue": str(value)}}
