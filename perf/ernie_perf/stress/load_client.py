"""A gRPC client that goes on asking whatever the server does: perf_analyzer ends at the first request refused."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tritonclient.grpc as grpc

from ..errors import TargetError

PATIENCE = 60.0  # seconds for what is under way when the last request has been sent
UNAVAILABLE = "StatusCode.UNAVAILABLE"
BACK_OFF = 0.1  # seconds that a caller of a closed loop waits after a refusal: at once, refusals would be all it makes


@dataclass(frozen=True)
class Outcome:
    """What became of one request: when it was sent, how long it took (s), its status (empty: answered)."""

    sent: float
    seconds: float
    item: int
    status: str
    message: str = ""
    outputs: Mapping[str, Any] | None = None


class Client:
    """Asks one model about texts of one item each, in their order, again from the first when they are through."""

    def __init__(self, address: str, model: str, inputs: Sequence[str], items: Sequence[tuple[str, ...]]) -> None:
        self.model = model
        self.requests = [[_tensor(name, text) for name, text in zip(inputs, item, strict=True)] for item in items]
        self._client = grpc.InferenceServerClient(address)
        self._next = 0

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def poisson(self, *parts: tuple[float, float], seed: int = 0) -> list[Outcome]:
        """Send requests at random moments: in each part (rate a second, seconds), one after the other without a
        pause for answers; all answers."""
        generator, started = random.Random(seed), time.monotonic()
        due: list[float] = []
        begins = started
        for rate, seconds in parts:
            moment = begins
            while (moment := moment + generator.expovariate(rate)) < begins + seconds:
                due.append(moment)
            begins += seconds
        return self._run(started, iter(due), None)

    def closed(self, callers: int, seconds: float) -> list[Outcome]:
        """So many callers, each asks again when it has its answer, or a moment after a refusal; all answers."""
        started = time.monotonic()

        def due() -> Any:
            while time.monotonic() < started + seconds:
                yield started

        return self._run(started, due(), threading.Semaphore(callers))

    def _run(self, started: float, due: Any, free: threading.Semaphore | None) -> list[Outcome]:
        outcomes: list[Outcome] = []
        sent = 0
        for moment in due:
            if free is not None:
                free.acquire()
            wait = moment - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            item = self._next = (self._next + 1) % len(self.requests)
            begun = time.monotonic()

            def came(result: Any, error: Any, begun: float = begun, item: int = item) -> None:
                took = time.monotonic() - begun
                if error is None:
                    outcome = Outcome(begun - started, took, item, "", outputs=_values(result))
                else:
                    outcome = Outcome(begun - started, took, item, str(error.status()), str(error.message()))
                outcomes.append(outcome)  # a list's append is atomic
                if free is not None and error is not None:
                    threading.Timer(BACK_OFF, free.release).start()
                elif free is not None:
                    free.release()

            self._client.async_infer(self.model, self.requests[item], came)
            sent += 1
        end = time.monotonic() + PATIENCE
        while len(outcomes) < sent:
            if time.monotonic() > end:
                raise TargetError(f"{sent - len(outcomes)} of {sent} requests were not answered in {PATIENCE:.0f} s")
            time.sleep(0.01)
        for outcome in outcomes:
            if outcome.status not in ("", UNAVAILABLE):
                raise TargetError(f"{self.model}: {outcome.status}: {outcome.message}")
        return sorted(outcomes, key=lambda outcome: outcome.sent)


def _tensor(name: str, text: str) -> Any:
    tensor = grpc.InferInput(name, [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text.encode()]], dtype=object))
    return tensor


def _values(result: Any) -> dict[str, Any]:
    """The first element of each output."""
    found = {}
    for output in result.get_response().outputs:
        value = result.as_numpy(output.name).reshape(-1)[0]
        found[output.name] = value.decode() if isinstance(value, bytes) else value.item()
    return found
