"""Triton's gRPC messages and the settings of a channel, for both of gRPC's Python APIs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import grpc
from tritonclient.grpc import service_pb2

from ernie_runtime.names import MANIFEST_PARAMETER, RESULT, VARIANT_PARAMETER

from ..connection import Connection
from ..errors import ErnieTritonError
from ..lookup import Configuration, IsLive, Query, ReadyModels
from ..replies import Reply, translate
from ..tasks import Ensemble
from ..wire import ModelRequest, Tensor, read_replies

LARGEST_MESSAGE = 2**31 - 1  # bytes
RETRY_BUFFER = 4 << 20  # bytes of a request that gRPC keeps to send it again
SERVICE = "inference.GRPCInferenceService"
RETRIED = ("ModelInfer", "ModelConfig", "ModelStatistics")  # not what asks about the server's health


def channel_options(connection: Connection) -> list[tuple[str, Any]]:
    """Sizes, retries, quick reconnection to a server that was restarted, and all servers of a name in turn."""
    retry = connection.retry
    options: list[tuple[str, Any]] = [
        ("grpc.max_send_message_length", LARGEST_MESSAGE),
        ("grpc.max_receive_message_length", LARGEST_MESSAGE),
        ("grpc.per_rpc_retry_buffer_size", RETRY_BUFFER),
        ("grpc.initial_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 2000),
        ("grpc.dns_min_time_between_resolutions_ms", 2000),  # by default 30 s: servers of a name come and go
        ("grpc.lb_policy_name", "round_robin"),  # of a name with one address it is no different
    ]
    if retry.attempts > 1:
        policy = {
            "maxAttempts": retry.attempts,
            "initialBackoff": f"{retry.first:g}s",
            "maxBackoff": f"{retry.longest:g}s",
            "backoffMultiplier": retry.multiplier,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        names = [{"service": SERVICE, "method": method} for method in RETRIED]
        config = {"methodConfig": [{"name": names, "retryPolicy": policy}]}
        options.append(("grpc.service_config", json.dumps(config)))
    if connection.is_loopback:  # gRPC would send even this to the proxy named in http_proxy
        options.append(("grpc.enable_http_proxy", 0))
    return options


def credentials(connection: Connection) -> Any:
    """What a secure channel needs; None for one without TLS."""
    tls = connection.tls
    if tls is None:
        return None
    ca, key, certificate = (Path(path).read_bytes() if path else None for path in (tls.ca, tls.key, tls.certificate))
    return grpc.ssl_channel_credentials(ca, key, certificate)


def metadata(connection: Connection, request: ModelRequest | None = None) -> list[tuple[str, str]]:
    """The headers of a call."""
    headers = {**connection.headers, **(request.headers if request else {})}
    return [(name.lower(), value) for name, value in headers.items()]


def infer_message(request: ModelRequest) -> Any:
    """A ModelInferRequest.

    It asks for all outputs: Triton's response cache keeps only those of the first request for a text.
    """
    message = service_pb2.ModelInferRequest(model_name=request.model)
    for name in request.inputs:
        message.inputs.add(name=name, datatype="BYTES", shape=[len(request.rows), 1])
    message.raw_input_contents.extend(request.tensors())
    for key, value in request.parameters.items():
        parameter = message.parameters[key]
        if isinstance(value, str):
            parameter.string_param = value
        elif key == "priority":
            parameter.uint64_param = value
        else:
            parameter.int64_param = value
    return message


def infer_replies(request: ModelRequest, response: Any) -> list[Reply]:
    """The replies in a ModelInferResponse."""
    outputs = {
        output.name: Tensor(datatype=output.datatype, shape=tuple(output.shape), data=data)
        for output, data in zip(response.outputs, response.raw_output_contents, strict=True)
    }
    return read_replies(request, outputs)


def query_message(query: Query) -> tuple[str, Any]:
    """The method of a query and its message."""
    if isinstance(query, ReadyModels):
        return "ModelStatistics", service_pb2.ModelStatisticsRequest()
    if isinstance(query, Configuration):
        return "ModelConfig", service_pb2.ModelConfigRequest(name=query.model)
    if isinstance(query, IsLive):
        return "ServerLive", service_pb2.ServerLiveRequest()
    if query.model is None:
        return "ServerReady", service_pb2.ServerReadyRequest()
    return "ModelReady", service_pb2.ModelReadyRequest(name=query.model)


def query_answer(query: Query, response: Any) -> Any:
    """What a query asks for, from the method's response."""
    if isinstance(query, ReadyModels):
        return sorted({model.name for model in response.model_stats})
    if isinstance(query, Configuration):
        return _ensemble(query.model, response.config)
    return response.live if isinstance(query, IsLive) else response.ready


def translated(error: Any, connection: Connection, timeout: float) -> ErnieTritonError:
    """The error of this package for one of gRPC's, which has a status, or for the use of a closed channel."""
    if not isinstance(error, grpc.RpcError):
        return ErnieTritonError("the client is closed")
    return translate(error.code().name, error.details() or "", connection.url, timeout)


def _ensemble(name: str, config: Any) -> Ensemble | None:
    if MANIFEST_PARAMETER not in config.parameters:  # only tasks have one
        return None
    return Ensemble(
        name=name,
        inputs=tuple(tensor.name for tensor in config.input),
        max_batch_size=config.max_batch_size,
        manifest=config.parameters[MANIFEST_PARAMETER].string_value,
        variant=config.parameters[VARIANT_PARAMETER].string_value,
        numeric=tuple(tensor.name for tensor in config.output if tensor.name != RESULT),
    )
