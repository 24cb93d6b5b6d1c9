"""Attacks on the gRPC proxy: each is refused with a status that blames the caller, and the next one is answered."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import grpc
import pytest
from tritonclient.grpc import service_pb2

from ernie_gateway.proxy.service import METHODS, OPEN, PASSED
from ernie_serve import ports
from ernie_triton import AccessDenied, Client, ServerOverloaded, UnknownTask

from ..e2e.gateways import gateway
from .conftest import BODY_SECONDS, MAX_BODY, MAX_ITEMS, Front

pytestmark = pytest.mark.e2e
Code = grpc.StatusCode
SERVICE = "/inference.GRPCInferenceService"


@pytest.fixture(scope="module")
def channel(front: Front) -> Iterator[grpc.Channel]:
    with grpc.insecure_channel(front.grpc, [("grpc.max_send_message_length", -1)]) as open_channel:
        yield open_channel


@pytest.fixture
def metadata(front: Front) -> Iterator[tuple[tuple[str, str], ...]]:
    """That of a caller with a key; after each attack a good request is answered."""
    yield (("authorization", f"Bearer {front.key}"),)
    with Client(front.grpc, api_key=front.key) as client:
        assert client.classify("topic", "球队赢得比赛")[0].label == "sport"


def request(*texts: str, model: str = "topic") -> Any:
    message = service_pb2.ModelInferRequest(model_name=model)
    message.inputs.add(name="TEXT", datatype="BYTES", shape=[len(texts), 1])
    message.raw_input_contents.append(raw(*texts))
    return message


def raw(*texts: str) -> bytes:
    return b"".join(len(text.encode()).to_bytes(4, "little") + text.encode() for text in texts)


def status(
    channel: grpc.Channel, method: str, message: Any, metadata: Any, **options: Any
) -> tuple[grpc.StatusCode, str]:
    """Status and details of a call. message: of protobuf, or bytes."""
    data = message if isinstance(message, bytes) else message.SerializeToString()
    call = channel.unary_unary(f"{SERVICE}/{method}")
    try:
        call(data, timeout=30, metadata=metadata, **options)
    except grpc.RpcError as error:
        assert ("\n" not in error.details() and len(error.details()) <= 400) or error.code() is Code.UNIMPLEMENTED
        return error.code(), error.details()
    return Code.OK, ""


def test_the_clients_of_this_project_and_of_triton(front: Front, metadata: Any) -> None:
    with Client(front.grpc, api_key=front.key) as client:
        assert [task.name for task in client.tasks()] == ["ner", "topic"]
        assert client.ready("topic") and client.ready() and client.live()
        with pytest.raises(UnknownTask, match="did you mean topic"):
            client.classify("topik", "a")
    with Client(front.grpc) as stranger:
        assert stranger.ready() and stranger.live()
        with pytest.raises(AccessDenied):
            stranger.tasks()
    with Client(front.grpc, api_key=front.slow_key) as slow, pytest.raises(ServerOverloaded, match="4 texts a second"):
        for _ in range(20):
            slow.classify("topic", "a")


def test_only_what_is_listed_passes(channel: grpc.Channel, metadata: Any) -> None:
    for method in set(METHODS) - {*OPEN, *PASSED}:
        code, details = status(channel, method, b"", metadata)
        assert (code, details.split()[0]) == (Code.UNIMPLEMENTED, method)
    assert status(channel, "ModelInferX", b"", metadata)[0] is Code.UNIMPLEMENTED
    answer = channel.unary_unary(f"{SERVICE}/ModelStatistics")(b"", metadata=metadata)
    listed = service_pb2.ModelStatisticsResponse.FromString(answer).model_stats
    assert {model.name for model in listed} == {"topic", "topic_fp32", "ner", "ner_fp32"}
    assert all(model == type(model)(name=model.name) for model in listed)  # names, and no figures


def test_health_needs_no_key_and_nothing_else_does_without(channel: grpc.Channel, metadata: Any) -> None:
    assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x01"
    for method in set(METHODS) - set(OPEN):
        for wrong in (
            (),
            (("authorization", "Bearer ek-x"),),
            (("authorization", "Basic eA=="),),
        ):
            assert status(channel, method, b"", wrong)[0] is Code.UNAUTHENTICATED


@pytest.mark.parametrize(
    "model", ["topic_tokenizer", "topic_encoder_fp32", "topic_postprocess", "", "../topic", "a" * 40_000]
)
@pytest.mark.parametrize("method", ["ModelInfer", "ModelConfig", "ModelMetadata", "ModelReady"])
def test_no_model_but_tasks(channel: grpc.Channel, metadata: Any, method: str, model: str) -> None:
    message = (
        request("a", model=model) if method == "ModelInfer" else getattr(service_pb2, f"{method}Request")(name=model)
    )
    assert status(channel, method, message, metadata)[0] is Code.NOT_FOUND


def changed(**fields: Any) -> Any:
    """A good request, with other fields of its input."""
    message = request("球队")
    for name, value in fields.items():
        if isinstance(value, list):
            message.inputs[0].ClearField(name)
            getattr(message.inputs[0], name).extend(value)
        else:
            setattr(message.inputs[0], name, value)
    return message


def classified() -> Any:
    """Ends Triton 2.51 by signal 8."""
    message = request("球队")
    message.outputs.add(name="RESULT").parameters["classification"].int64_param = 3
    return message


def with_parameters(where: str, **parameters: Any) -> Any:
    message = request("球队")
    place = {"request": message, "input": message.inputs[0], "output": message.outputs.add(name="RESULT")}[where]
    for name, value in parameters.items():
        if isinstance(value, str):
            place.parameters[name].string_param = value
        else:
            place.parameters[name].int64_param = value
    return message


def with_contents(*contents: bytes) -> Any:
    message = request("球队")
    del message.raw_input_contents[:]
    message.raw_input_contents.extend(contents)
    return message


def with_both() -> Any:
    message = request("球队")
    message.inputs[0].contents.bytes_contents.append(b"a")
    return message


def with_outputs(count: int) -> Any:
    message = request("球队")
    for number in range(count):
        message.outputs.add(name=f"RESULT{number}")
    return message


BAD = {
    "classification": classified(),
    "shared memory in": with_parameters("input", shared_memory_region="x", shared_memory_byte_size=8),
    "shared memory out": with_parameters("output", shared_memory_region="x", shared_memory_byte_size=1 << 40),
    "sequence": with_parameters("request", sequence_id=1, sequence_start=1),
    "unknown parameter": with_parameters("request", **{"triton_" + "x" * 5000: 1}),
    "negative shape": changed(shape=[-1, 1]),
    "huge shape": changed(shape=[2**62, 1]),
    "overflowing shape": changed(shape=[2**32, 2**32]),
    "flat shape": changed(shape=[1]),
    "no shape": changed(shape=[]),
    "more rows than texts": changed(shape=[2, 1]),
    "numbers": changed(datatype="INT64"),
    "no datatype": changed(datatype=""),
    "no contents": with_contents(),
    "too many contents": with_contents(raw("a"), raw("b")),
    "a length of 4 GB": with_contents(b"\xff\xff\xff\xff"),
    "a length too long by one": with_contents(b"\x02\x00\x00\x00a"),
    "a length too short": with_contents(b"\x01\x00\x00\x00ab"),
    "half a length": with_contents(b"\x01\x00"),
    "both contents": with_both(),
    "many outputs": with_outputs(2_000),
    "unknown output": with_outputs(1),
    "items": request(*["a"] * (MAX_ITEMS + 1)),
    "no input": service_pb2.ModelInferRequest(model_name="topic"),
    "version": service_pb2.ModelInferRequest(model_name="topic", model_version="../../1"),
    "junk": b"\xff" * 1000,
    "nested junk": b"\x0a\xff\xff\xff\xff\x0f",
    "empty text": request(""),
    "no utf-8": with_contents(b"\x02\x00\x00\x00\xff\xfe"),
    "a long text": request("球" * 20_000),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_request_is_the_callers_fault(channel: grpc.Channel, metadata: Any, name: str) -> None:
    assert status(channel, "ModelInfer", BAD[name], metadata)[0] is Code.INVALID_ARGUMENT


def test_an_input_twice(channel: grpc.Channel, metadata: Any) -> None:
    message = request("a")
    message.inputs.add().CopyFrom(message.inputs[0])
    message.raw_input_contents.append(raw("b"))
    assert status(channel, "ModelInfer", message, metadata) == (Code.INVALID_ARGUMENT, "a tensor is there twice")


def test_large_and_compressed_messages(channel: grpc.Channel, metadata: Any) -> None:
    assert status(channel, "ModelInfer", request("a" * MAX_BODY), metadata)[0] is Code.RESOURCE_EXHAUSTED
    bomb = request("a" * 50_000_000)
    code, details = status(channel, "ModelInfer", bomb, metadata, compression=grpc.Compression.Gzip)
    assert (code, "disabled" in details) == (Code.UNIMPLEMENTED, True)


def test_large_metadata(channel: grpc.Channel, metadata: Any) -> None:
    code, _ = status(channel, "ModelInfer", request("a"), (*metadata, *((f"x-{n}", "y" * 1000) for n in range(100))))
    assert code is not Code.OK


def test_calls_without_a_message_hold_nobody_up(front: Front, channel: grpc.Channel, metadata: Any) -> None:
    silent, ends = threading.Event(), []
    call = channel.stream_unary(f"{SERVICE}/ModelInfer")

    def never() -> Iterator[bytes]:
        silent.wait(20)
        yield from ()

    began = time.monotonic()
    with ThreadPoolExecutor(20) as pool:
        futures = [pool.submit(call, never(), timeout=20, metadata=metadata if n % 2 else ()) for n in range(20)]
        for future in futures:
            error = future.exception()
            assert isinstance(error, grpc.RpcError)
            ends.append(error.code())
        silent.set()
    assert time.monotonic() - began < BODY_SECONDS + 5
    assert set(ends) == {Code.UNAUTHENTICATED, Code.DEADLINE_EXCEEDED}


@pytest.mark.parametrize(
    "junk", [b"GET / HTTP/1.1\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + b"\xff" * 10_000, b"\x00" * 10_000]
)
def test_junk_instead_of_http2(front: Front, metadata: Any, junk: bytes) -> None:
    host, _, port = front.grpc.partition(":")
    with socket.create_connection((host, int(port)), timeout=3) as caller:
        caller.sendall(junk)
        try:
            while caller.recv(65536):
                pass
        except OSError:
            pass


def test_where_triton_is_stays_unknown_when_it_is_away() -> None:
    picked = ports.pick_ports("127.0.0.1", {"proxy": 0, "nobody": 0})
    address = f"127.0.0.1:{picked['proxy']}"
    with (
        gateway(f"127.0.0.1:{picked['nobody']}", grpc_port=picked["proxy"]),
        grpc.insecure_channel(address) as channel,
    ):
        grpc.channel_ready_future(channel).result(10)
        code, details = status(channel, "ModelInfer", request("a"), ())
        assert (code, "127.0.0.1" in details) == (Code.UNAVAILABLE, False)
        assert channel.unary_unary("/grpc.health.v1.Health/Check")(b"") == b"\x08\x02"
