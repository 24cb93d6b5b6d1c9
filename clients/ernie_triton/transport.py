"""The gRPC connection: the calls of tritonclient that the client needs, with errors of this package."""

from __future__ import annotations

import ipaddress
import json
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from contextlib import contextmanager
from types import FrameType
from typing import Any

import numpy as np
import tritonclient.grpc as triton
from tritonclient.utils import InferenceServerException

from ernie_runtime.json_types import Json
from ernie_runtime.names import EMBEDDINGS, RESULT, VARIANT_PARAMETER

from .errors import ErnieTritonError, ServerError, ServerUnavailable
from .items import Row
from .replies import NotFound, Reply, translate
from .tasks import Ensemble

LARGEST_MESSAGE = 2**31 - 1  # bytes


class PendingCall:
    """A gRPC call in flight; see replies.Pending."""

    def __init__(self, future: Future[list[Reply]], call: Any) -> None:
        self._future, self._call = future, call

    def result(self) -> list[Reply]:
        """Wait for the call; one reply a row."""
        return self._future.result()

    def cancel(self) -> None:
        """Stop waiting for it."""
        self._call.cancel()


class Transport:
    """A gRPC channel to one server. timeout: seconds, for each call."""

    def __init__(self, url: str, timeout: float) -> None:
        host, colon, port = url.rpartition(":")
        if not colon or not host or "/" in url or not port.isdecimal():
            raise ServerUnavailable(f"{url!r} is not the host:port of a gRPC server, such as 127.0.0.1:8001")
        self.url, self.timeout = url, timeout
        options: list[tuple[str, int]] = [
            ("grpc.max_send_message_length", LARGEST_MESSAGE),
            ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ]
        if _is_loopback(host):  # gRPC would send even this to the proxy named in http_proxy
            options.append(("grpc.enable_http_proxy", 0))
        self._client = triton.InferenceServerClient(url, channel_args=options)

    def close(self) -> None:
        """Close the channel."""
        self._client.close()

    def ensembles(self, parameter: str) -> list[Ensemble]:
        """The ready models that answer a task: those with a manifest in this parameter of their configuration."""
        try:
            index = self._client.get_model_repository_index(client_timeout=self.timeout)
            names = sorted({model.name for model in index.models if model.state == "READY"})
            ensembles = [self._ensemble(name, parameter) for name in names]
        except InferenceServerException as error:
            raise self._error(error) from None
        return [ensemble for ensemble in ensembles if ensemble is not None]

    def _ensemble(self, name: str, parameter: str) -> Ensemble | None:
        try:
            config = self._client.get_model_config(name, client_timeout=self.timeout).config
        except InferenceServerException as error:
            translated = self._error(error)
            if isinstance(translated, NotFound):  # unloaded since the index was read
                return None
            raise translated from None
        if parameter not in config.parameters:  # only ensembles and fused models have one
            return None
        return Ensemble(
            name=name,
            inputs=tuple(tensor.name for tensor in config.input),
            max_batch_size=config.max_batch_size,
            manifest=config.parameters[parameter].string_value,
            variant=config.parameters[VARIANT_PARAMETER].string_value,
            numeric=tuple(tensor.name for tensor in config.output if tensor.name != RESULT),
        )

    def send(self, model: str, inputs: Sequence[str], rows: Sequence[Row], numeric: Sequence[str] = ()) -> PendingCall:
        """Ask a model about some rows, and return at once; the replies have RESULT and these numeric outputs."""
        tensors = []
        for name, column in zip(inputs, zip(*rows, strict=True), strict=True):
            array = np.empty((len(rows), 1), dtype=object)
            array[:, 0] = column
            tensor = triton.InferInput(name, list(array.shape), "BYTES")
            tensor.set_data_from_numpy(array)
            tensors.append(tensor)
        future: Future[list[Reply]] = Future()

        def on_response(result: Any, error: InferenceServerException | None) -> None:
            try:
                future.set_result(_replies(model, result, error, len(rows), numeric))
            except InferenceServerException as failure:
                future.set_exception(self._error(failure))
            except ErnieTritonError as failure:
                future.set_exception(failure)
            except Exception as failure:  # without a result the caller would wait for ever
                future.set_exception(ServerError(f"the answer of model {model} cannot be read ({failure!r})"))

        with uninterrupted():
            # Ask for all outputs: Triton's response cache keeps only those of the first request for a text.
            call = self._client.async_infer(model, tensors, on_response, client_timeout=self.timeout)
        return PendingCall(future, call)

    def _error(self, error: InferenceServerException) -> ErnieTritonError:
        return translate(str(error.status()), str(error.message()), self.url, self.timeout)


def _replies(model: str, result: Any, error: Exception | None, count: int, numeric: Sequence[str]) -> list[Reply]:
    if error is not None:
        raise error
    columns = {name: result.as_numpy(name) for name in (RESULT, *numeric)}
    for name, column in columns.items():
        if column is None or len(column) != count:
            raise ServerError(f"model {model} did not return one {name} a text")
    raws = [json.loads(text) for text in columns.pop(RESULT).reshape(-1)]
    return [
        Reply(raw, {name: _real_rows(name, column[row], raw) for name, column in columns.items()})
        for row, raw in enumerate(raws)
    ]


def _real_rows(name: str, values: np.ndarray, raw: Json) -> np.ndarray:
    """A numeric output without the rows that fill EMBEDDINGS up to the request's longest text."""
    return values[: len(raw.get("offsets", ()))] if name == EMBEDDINGS else values


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Hold back Ctrl-C until the block ends: while it starts a call, gRPC would lose count of its calls and hang."""
    handler = signal.getsignal(signal.SIGINT)
    if not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    received: list[tuple[int, FrameType | None]] = []
    signal.signal(signal.SIGINT, lambda number, frame: received.append((number, frame)))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if received:
            handler(*received[-1])


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"
