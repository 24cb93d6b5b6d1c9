"""A worker that is told to end: it refuses what is new at once, and answers what it has in hand."""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from .problems import RETRY_SECONDS, Problem

MESSAGE = "the gateway is stopping: try again"


class Stopping:
    """Of one worker."""

    def __init__(self) -> None:
        self.has_begun = False
        self.event = asyncio.Event()

    @contextmanager
    def at_signals(self) -> Iterator[None]:
        """Take note of the signals at which uvicorn ends; it does so after us."""
        if threading.current_thread() is not threading.main_thread():
            yield  # a test's
            return
        loop = asyncio.get_running_loop()
        before: dict[int, Any] = {}

        def begin(number: int, frame: FrameType | None) -> None:
            self.has_begun = True
            loop.call_soon_threadsafe(self.event.set)
            handler = before[number]
            if callable(handler):
                handler(number, frame)

        for number in (signal.SIGINT, signal.SIGTERM):
            before[number] = signal.signal(number, begin)
        yield


def refusal() -> Problem:
    """503, on a connection that ends with it."""
    headers = {"retry-after": str(RETRY_SECONDS), "connection": "close"}
    return Problem(503, "stopping", MESSAGE, headers=headers)
