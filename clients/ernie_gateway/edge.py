"""What happens around every request: its id, keys, limits, errors as JSON, counters, a line in the log."""

from __future__ import annotations

import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from . import measures
from .answers import dumps
from .keys import NOBODY, Keys
from .log import event
from .problems import Problem, overloaded
from .rates import Rates
from .settings import Settings
from .spans import Spans
from .stopping import Stopping, refusal

GUARDED = ("/v1/", "/v2/")
READY = "/readyz"
PRIVATE = ("/metrics", "/openapi.json")
_GOOD_ID = re.compile(r"[\w.:-]{1,128}")


class Edge:
    """ASGI middleware, outermost but for CORS."""

    def __init__(self, app: ASGIApp, settings: Settings, spans: Spans | None, stopping: Stopping) -> None:
        self._app, self._settings, self._spans = app, settings, spans
        self._keys = Keys(Path(settings.keys_file)) if settings.keys_file else None
        self._rates = Rates(settings.rates_folder)
        self._guarded = GUARDED + (PRIVATE if settings.private_metrics else ())
        self._stopping, self._in_hand = stopping, 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        call = _Call(scope, receive, send, self._settings.log_texts)
        is_guarded = scope["path"].startswith(self._guarded)
        parent = call.headers.get("traceparent", "")
        span = self._spans.begin(parent) if self._spans and scope["path"].startswith(GUARDED) else None
        # Triton traces whatever has a traceparent, whether it is marked as sampled or not.
        call.state["traceparent"] = span.traceparent if span else "" if self._spans else parent
        try:
            if self._stopping.has_begun and (is_guarded or scope["path"] == READY):
                raise refusal()
            if is_guarded:
                self._admit(call)
            await self._app(scope, call.receive, call.send)
        except Problem as problem:
            await call.refuse(problem)
        except Exception as error:
            await call.refuse(Problem(500, "internal", "the gateway failed; its log has the reason"))
            event("failure", request_id=call.request_id, path=scope["path"], error=repr(error))
        finally:
            if call.is_in_hand:
                self._in_hand -= 1
                measures.IN_HAND.dec()
            call.record(is_guarded)
            if self._spans and span:
                self._spans.end(span, *call.about(), has_failed=call.status >= 500)

    def _admit(self, call: _Call) -> None:
        """Count the request in; Problem 401, 415 or 429 where it may not."""
        key = NOBODY
        if self._keys is not None and call.scope["method"] != "OPTIONS":
            key = self._keys.of(call.headers.get("authorization"))
            call.key = key.name
        if (coding := call.headers.get("content-encoding", "identity").lower()) != "identity":
            message = f"a body may not be compressed (Content-Encoding: {coding[:40]}): send it as it is"
            raise Problem(415, "compressed", message)
        call.state["allowance"] = self._rates.admit(key)
        limit = self._settings.max_requests
        if self._in_hand >= limit:
            raise overloaded(f"the gateway has {limit:,} requests in hand, as many as it takes: try again")
        self._in_hand += 1
        call.is_in_hand = True
        measures.IN_HAND.inc()


class _Call:
    """One request on its way."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, log_texts: bool) -> None:
        self.scope, self._receive, self._send = scope, receive, send
        self.headers = Headers(scope=scope)
        given = self.headers.get("x-request-id", "")
        self.request_id = given if _GOOD_ID.fullmatch(given) else secrets.token_hex(8)
        self.state: dict[str, Any] = scope.setdefault("state", {})
        self.state["request_id"] = self.request_id
        self.key = ""
        self.is_in_hand = False
        self.status = 0
        self._began = time.perf_counter()
        self._texts: list[bytes] | None = [] if log_texts else None

    async def receive(self) -> Message:
        """Pass on; keep the body where texts are logged."""
        message = await self._receive()
        if self._texts is not None and message["type"] == "http.request":
            self._texts.append(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        """Pass on, with the id."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            MutableHeaders(scope=message)["x-request-id"] = self.request_id
        await self._send(message)

    async def refuse(self, problem: Problem) -> None:
        """Send a problem, unless an answer has begun or nobody is there."""
        self.state["problem"] = problem
        if self.status or problem.status == 499:
            self.status = self.status or problem.status
            return
        body = dumps(problem.to_json(self.request_id))
        headers: Mapping[str, str] = {
            "content-type": "application/json",
            "content-length": str(len(body)),
            **problem.headers,
        }
        encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": problem.status, "headers": encoded})
        await self.send({"type": "http.response.body", "body": body})

    @property
    def route(self) -> str:
        """The address, without what differs between requests."""
        return getattr(self.scope.get("route"), "path", "other")

    def about(self) -> tuple[str, dict[str, str | int]]:
        """The name of its span, and what that says."""
        method = self.scope["method"]
        return f"{method} {self.route}", {
            "http.request.method": method,
            "http.route": self.route,
            "http.response.status_code": self.status,
            "ernie.task": self.state.get("task", ""),
            "ernie.items": self.state.get("items", 0),
            "ernie.request_id": self.request_id,
        }

    def record(self, is_guarded: bool) -> None:
        """Count and log it."""
        seconds = time.perf_counter() - self._began
        route = self.route
        problem = self.state.get("problem")
        # A name that no task has must not become a label: there is no end to them.
        task = self.state.get("task", "") if self.status not in (401, 404) else ""
        measures.REQUESTS.labels(route, task, str(self.status)).inc()
        measures.SECONDS.labels(route).observe(seconds)
        if items := self.state.get("items", 0):
            measures.ITEMS.labels(task).inc(items)
            measures.FAULTS.labels(task).inc(self.state.get("faults", 0))
        if is_guarded:
            event(
                "request",
                request_id=self.request_id,
                method=self.scope["method"],
                path=self.scope["path"],
                status=self.status,
                ms=round(seconds * 1000, 2),
                task=task,
                items=items,
                item_errors=self.state.get("faults", 0),
                key=self.key,
                client=(self.scope.get("client") or ("",))[0],
                code=problem.code if isinstance(problem, Problem) else None,
                texts=b"".join(self._texts).decode("utf-8", "replace") if self._texts else None,
            )
