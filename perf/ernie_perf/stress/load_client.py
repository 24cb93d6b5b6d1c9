"""A gRPC client that keeps sending whatever the server does; perf_analyzer ends at the first refused request."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import tritonclient.grpc as grpc

from ernie_runtime.json_types import Json, JsonObject

from ..errors import TargetError
from ..sweep.texts import Item

ANSWER_SECONDS = 60.0  # for requests in flight after the last one was sent
BACK_OFF_SECONDS = 0.1  # between a refusal and a caller's next request: at once, it would send hardly anything else
POLL_SECONDS = 0.01
UNAVAILABLE = "StatusCode.UNAVAILABLE"


@dataclass(frozen=True, kw_only=True)
class RequestOutcome:
    """What became of one request."""

    sent: float  # seconds after the first request could be sent
    seconds: float  # from sending to the answer or refusal
    item: int  # which of the client's items was sent
    status: str = ""  # gRPC status; empty: answered
    message: str = ""
    outputs: Json | None = None  # first element of each output; None: refused

    @property
    def answered(self) -> bool:
        """Whether the server answered, rather than refused."""
        return not self.status

    @property
    def ended(self) -> float:
        """Seconds after the first request could be sent."""
        return self.sent + self.seconds


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Part of an open loop."""

    rate: float  # requests/s
    seconds: float


class LoadClient:
    """Sends requests of one item each to one model, in the items' order, starting over after the last."""

    def __init__(self, address: str, model: str, inputs: Sequence[str], items: Sequence[Item]) -> None:
        """address: HOST:PORT of gRPC. inputs: names of the model's inputs, one for each text of an item."""
        self.model = model
        self._requests = [[_tensor(name, text) for name, text in zip(inputs, item, strict=True)] for item in items]
        self._client = grpc.InferenceServerClient(address)
        self._item = 0

    def close(self) -> None:
        """End the connection."""
        self._client.close()

    def __enter__(self) -> LoadClient:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def open_loop(self, *phases: Phase, seed: int = 0) -> list[RequestOutcome]:
        """Send requests at random moments (Poisson arrivals), one phase after the other, whatever becomes of them.

        All outcomes, in the order of sending. Errors: TargetError for an answer that is neither RESULT nor a refusal,
        and where one does not come.
        """
        started = time.monotonic()
        return self._send_all(started, _poisson_moments(started, phases, random.Random(seed)), None)

    def closed_loop(self, callers: int, seconds: float) -> list[RequestOutcome]:
        """Let so many callers send requests, each as soon as its last one is answered, or a moment after a refusal.

        All outcomes, in the order of sending. Errors: as `open_loop`.
        """
        started = time.monotonic()

        def moments() -> Iterator[float]:
            while time.monotonic() < started + seconds:
                yield started

        return self._send_all(started, moments(), threading.Semaphore(callers))

    def _send_all(
        self, started: float, moments: Iterable[float], free_callers: threading.Semaphore | None
    ) -> list[RequestOutcome]:
        outcomes: list[RequestOutcome] = []
        sent = 0
        for moment in moments:
            if free_callers is not None:
                free_callers.acquire()
            wait = moment - time.monotonic()
            if wait > 0:
                time.sleep(wait)
            self._item = (self._item + 1) % len(self._requests)
            callback = _recorder(outcomes, started, self._item, free_callers)
            self._client.async_infer(self.model, self._requests[self._item], callback)
            sent += 1
        deadline = time.monotonic() + ANSWER_SECONDS
        while len(outcomes) < sent:
            if time.monotonic() > deadline:
                missing = sent - len(outcomes)
                raise TargetError(f"{missing} of {sent} requests were not answered in {ANSWER_SECONDS:.0f} s")
            time.sleep(POLL_SECONDS)
        for outcome in outcomes:
            if outcome.status not in ("", UNAVAILABLE):
                raise TargetError(f"{self.model}: {outcome.status}: {outcome.message}")
        return sorted(outcomes, key=lambda outcome: outcome.sent)


def _poisson_moments(started: float, phases: Sequence[Phase], generator: random.Random) -> list[float]:
    """When to send, on the monotonic clock."""
    moments: list[float] = []
    begins = started
    for phase in phases:
        moment = begins
        while (moment := moment + generator.expovariate(phase.rate)) < begins + phase.seconds:
            moments.append(moment)
        begins += phase.seconds
    return moments


def _recorder(
    outcomes: list[RequestOutcome], started: float, item: int, free_callers: threading.Semaphore | None
) -> Callable[[grpc.InferResult | None, grpc.InferenceServerException | None], None]:
    """What tritonclient calls, from a thread of its own, with the result or the error of a request sent now."""
    sent_at = time.monotonic()

    def record(result: grpc.InferResult | None, error: grpc.InferenceServerException | None) -> None:
        seconds = time.monotonic() - sent_at
        if error is None:
            outcome = RequestOutcome(
                sent=sent_at - started, seconds=seconds, item=item, outputs=_first_elements(result)
            )
        else:
            outcome = RequestOutcome(
                sent=sent_at - started,
                seconds=seconds,
                item=item,
                status=str(error.status()),
                message=str(error.message()),
            )
        outcomes.append(outcome)  # a list's append is atomic
        if free_callers is not None and error is not None:
            threading.Timer(BACK_OFF_SECONDS, free_callers.release).start()
        elif free_callers is not None:
            free_callers.release()

    return record


def _tensor(name: str, text: str) -> grpc.InferInput:
    tensor = grpc.InferInput(name, [1, 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[text.encode()]], dtype=object))
    return tensor


def _first_elements(result: grpc.InferResult) -> JsonObject:
    """By output."""
    elements = {}
    for output in result.get_response().outputs:
        value = result.as_numpy(output.name).reshape(-1)[0]
        elements[output.name] = value.decode() if isinstance(value, bytes) else value.item()
    return elements
