"""Triton's HTTP requests and answers (KServe's protocol, with binary tensors), for both of httpx's clients."""

from __future__ import annotations

import importlib.util
import json
import ssl
import time
from collections.abc import Generator
from dataclasses import dataclass, field
from typing import Any, TypedDict
from urllib.parse import quote

import httpx

from ernie_runtime.json_types import Json
from ernie_runtime.names import MANIFEST_PARAMETER, RESULT, VARIANT_PARAMETER

from ..connection import Connection
from ..errors import ErnieTritonError, ServerError, ServerTimeout, ServerUnavailable
from ..lookup import Configuration, IsLive, IsReady, Query, ReadyModels
from ..replies import Reply, no_server, translate
from ..tasks import Ensemble
from ..wire import ModelRequest, Tensor, read_replies

HEADER_LENGTH = "Inference-Header-Content-Length"
"""Length of the JSON that stands before the binary tensors, in requests and answers."""
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    408: "DEADLINE_EXCEEDED",
    429: "UNAVAILABLE",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}
"""HTTP's statuses as gRPC's."""


class HttpOptions(TypedDict):
    """Settings of httpx.Client and httpx.AsyncClient."""

    base_url: str
    headers: dict[str, str]
    http2: bool
    trust_env: bool
    verify: ssl.SSLContext | bool
    limits: httpx.Limits


@dataclass(frozen=True, kw_only=True)
class HttpCall:
    """A request as httpx takes it. attempts: how often it may be sent."""

    method: str
    path: str
    content: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    timeout: float  # seconds, for all attempts
    retried: bool = True


def client_options(connection: Connection) -> HttpOptions:
    """HTTP/2 where TLS can agree on it (Triton itself speaks HTTP/1.1, a proxy before it may speak both)."""
    tls = connection.tls
    context: ssl.SSLContext | bool = False
    if tls is not None:
        context = ssl.create_default_context(cafile=str(tls.ca) if tls.ca else None)
        if tls.certificate and tls.key:
            context.load_cert_chain(str(tls.certificate), str(tls.key))
    return {
        "base_url": connection.url,
        "headers": dict(connection.headers),
        "http2": tls is not None and importlib.util.find_spec("h2") is not None,
        "trust_env": not connection.is_loopback,
        "verify": context,
        "limits": httpx.Limits(max_connections=None, max_keepalive_connections=64),
    }


def infer_call(request: ModelRequest) -> HttpCall:
    """The POST of a request; all outputs are asked for, as over gRPC."""
    tensors = request.tensors()
    inputs = [
        {
            "name": name,
            "shape": [len(request.rows), 1],
            "datatype": "BYTES",
            "parameters": {"binary_data_size": len(tensor)},
        }
        for name, tensor in zip(request.inputs, tensors, strict=True)
    ]
    parameters = {**request.parameters, "binary_data_output": True}
    header = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    return HttpCall(
        method="POST",
        path=f"/v2/models/{quote(request.model, safe='')}/infer",
        content=b"".join([header, *tensors]),
        headers={
            **request.headers,
            HEADER_LENGTH: str(len(header)),
            "Content-Type": "application/octet-stream",
        },
        timeout=request.timeout,
    )


def infer_replies(request: ModelRequest, response: httpx.Response) -> list[Reply]:
    """The replies in an answer."""
    try:
        body, length = response.content, int(response.headers.get(HEADER_LENGTH, len(response.content)))
        outputs, start = {}, length
        for output in json.loads(body[:length])["outputs"]:
            end = start + output["parameters"]["binary_data_size"]
            shape = tuple(output["shape"])
            outputs[output["name"]] = Tensor(datatype=output["datatype"], shape=shape, data=body[start:end])
            start = end
    except (KeyError, TypeError, ValueError) as error:
        raise ServerError(f"the answer of model {request.model} cannot be read ({error!r})") from None
    return read_replies(request, outputs)


def query_call(query: Query, timeout: float) -> HttpCall:
    """The request of a query."""
    if isinstance(query, ReadyModels):
        return HttpCall(method="GET", path="/v2/models/stats", timeout=timeout)
    if isinstance(query, Configuration):
        return HttpCall(method="GET", path=f"/v2/models/{quote(query.model, safe='')}/config", timeout=timeout)
    path = "/v2/health/live" if isinstance(query, IsLive) else "/v2/health/ready"
    if isinstance(query, IsReady) and query.model is not None:
        path = f"/v2/models/{quote(query.model, safe='')}/ready"
    return HttpCall(method="GET", path=path, timeout=timeout, retried=False)


def query_answer(query: Query, response: httpx.Response) -> Any:
    """What a query asks for."""
    if isinstance(query, IsReady | IsLive):
        return True
    try:
        answer = response.json()
        if isinstance(query, ReadyModels):
            return sorted({model["name"] for model in answer["model_stats"]})
        return _ensemble(query.model, answer)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ServerError(f"the answer of {response.url} is not Triton's ({error!r})") from None


def attempts(call: HttpCall, connection: Connection) -> Generator[float, httpx.Response | Exception, httpx.Response]:
    """Yields the seconds that each attempt may take, and is sent its answer, or httpx's error; returns a good answer.

    A negative number -s means: wait s seconds. Raises the last error. Only what UNAVAILABLE means is tried again.
    """
    deadline = time.monotonic() + call.timeout
    waits = connection.retry.waits() if call.retried else iter(())
    while True:
        outcome = yield max(deadline - time.monotonic(), 1e-6)
        error = _error(outcome, connection, call.timeout)
        if error is None and isinstance(outcome, httpx.Response):
            return outcome
        wait = next(waits, None)
        away = isinstance(error, ServerUnavailable) and not isinstance(error, ServerTimeout)
        if not away or wait is None or time.monotonic() + wait >= deadline:
            raise error or ServerError(f"the server at {connection.url} failed ({outcome!r})")
        yield -wait


def _error(outcome: httpx.Response | Exception, connection: Connection, timeout: float) -> ErnieTritonError | None:
    if isinstance(outcome, httpx.TimeoutException):
        return translate("DEADLINE_EXCEEDED", "", connection.url, timeout)
    if isinstance(outcome, httpx.TransportError):
        return no_server(connection.url, " ".join(str(outcome).split()) or type(outcome).__name__)
    if isinstance(outcome, Exception):
        return ErnieTritonError("the client is closed")
    if outcome.status_code < 300:
        return None
    try:
        message = str(outcome.json()["error"])
    except (ValueError, KeyError, TypeError):
        message = f"HTTP {outcome.status_code}"
    return translate(STATUSES.get(outcome.status_code, "INTERNAL"), message, connection.url, timeout)


def _ensemble(name: str, config: Json) -> Ensemble | None:
    parameters = config.get("parameters", {})
    if MANIFEST_PARAMETER not in parameters:  # only tasks have one
        return None
    return Ensemble(
        name=name,
        inputs=tuple(tensor["name"] for tensor in config["input"]),
        max_batch_size=int(config.get("max_batch_size", 0)),
        manifest=parameters[MANIFEST_PARAMETER]["string_value"],
        variant=parameters[VARIANT_PARAMETER]["string_value"],
        numeric=tuple(tensor["name"] for tensor in config["output"] if tensor["name"] != RESULT),
    )
