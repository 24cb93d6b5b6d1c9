"""Requests that are nearly good, for `fuzz`: HTTP as bytes, gRPC as a method, a message and metadata."""

from __future__ import annotations

import json
import random
from typing import Any

from tritonclient.grpc import service_pb2

SERVICE = "/inference.GRPCInferenceService/"
METHODS = [method.name for method in service_pb2.DESCRIPTOR.services_by_name["GRPCInferenceService"].methods]
NASTY: list[Any] = [
    *(None, True, 0, -1, 2**63, -(2**63) - 1, 1e308, 0.1, "", " ", "\0", "\ud800", "\u202e", "𠮷" * 300),
    *("a" * 30_000, "../" * 20, "%00", "'; --", "{{7*7}}", "topic_tokenizer", [], {}, [[]], [[[[["a"]]]]], {"": ""}),
    *({"text": 1}, {"text": ["a", "b"]}, {"text": "a", "more": "b"}, ["a"] * 1100, "fp32", "utf16", "int8\n"),
]
PATHS = ["/v1/tasks/{}", "/v1/tasks/{}", "/v1/tasks/{}", "/v1/tasks", "/v1/embeddings", "/v1/rerank", "/v2/rerank"]
ODD_PATHS = [
    "/",
    "/v1/tasks/",
    "/v1/tasks/%2e%2e/x",
    "/v1/tasks/{}%00",
    "/static/../keys.py",
    "/metrics",
    "/openapi.json",
]
HEADERS = [
    *("Content-Type: application/x-ndjson", "Content-Type: text/plain; charset=utf-16", "Content-Encoding: gzip"),
    *("Expect: 100-continue", "Upgrade: h2c", "X-Request-Id: \x7f", "traceparent: 00-zz", "X: " + "y" * 9000),
    *("Transfer-Encoding: gzip, chunked", "Content-Length: 5", "Accept-Encoding: br", "Range: bytes=0-", "Cookie: a=b"),
]


def request(generator: random.Random, task: str, text: str, key: str) -> bytes:
    """An HTTP request, mostly with one or two faults."""
    path = generator.choice(PATHS if generator.random() < 0.85 else ODD_PATHS).format(task)
    body = _body(generator, path, text)
    method = generator.choice(["POST"] * 40 + ["GET", "PUT", "DELETE", "OPTIONS", "HEAD", "POSTX"])
    lines = [f"{method} {path} HTTP/1.1", "Host: x", "Connection: close"]
    if generator.random() < 0.95:
        lines.append(f"Authorization: Bearer {key}")
    lines += generator.sample(HEADERS, generator.choice([0, 0, 0, 1, 2]))
    kind = generator.random()
    if kind < 0.7:
        lines.append(f"Content-Length: {len(body)}")
    elif kind < 0.75:
        lines.append(f"Content-Length: {generator.choice([0, 1, len(body) + 1, 2**40, 2**64])}")
    else:
        lines.append("Transfer-Encoding: chunked")
        body = _chunks(generator, body)
    whole = "\r\n".join([*lines, "", ""]).encode() + body
    return _bytes(generator, whole) if generator.random() < 0.1 else whole


def call(generator: random.Random, task: str, text: str, key: str) -> tuple[str, bytes, list[tuple[str, str]]]:
    """Method, message and metadata of a gRPC call."""
    metadata = [("authorization", f"Bearer {key}")] if generator.random() < 0.95 else []
    if generator.random() < 0.1:
        metadata.append(("traceparent", "zz" * generator.randrange(300)))
    if generator.random() < 0.2:
        name = generator.choice(METHODS)
        message = service_pb2.ModelMetadataRequest(
            name=_name(generator, task), version=generator.choice(["", "1", "x"])
        )
        return SERVICE + name, _maybe_changed(generator, message.SerializeToString()), metadata
    message = _infer(generator, task, text)
    return SERVICE + "ModelInfer", _maybe_changed(generator, message.SerializeToString()), metadata


def _infer(generator: random.Random, task: str, text: str) -> Any:
    texts = [text] * generator.choice([1, 1, 1, 2, 5])
    message = service_pb2.ModelInferRequest(model_name=_name(generator, task))
    rows = generator.choice([len(texts)] * 40 + [0, -1, 2**31, 2**62])
    shape = generator.choice([[rows, 1]] * 40 + [[rows], [], [rows, 2], [1] * 40])
    message.inputs.add(name=generator.choice(["TEXT"] * 40 + ["", "TEXT2"]), datatype="BYTES", shape=shape)
    data = b"".join(len(t.encode()).to_bytes(4, "little") + t.encode() for t in texts)
    if generator.random() < 0.95:
        message.raw_input_contents.append(_bytes(generator, data) if generator.random() < 0.25 else data)
    if generator.random() < 0.07:
        message.inputs[0].contents.bytes_contents.extend([t.encode() for t in texts])
    for place in (message, message.inputs[0]):
        if generator.random() < 0.15:
            names = ["classification", "shared_memory_region", "timeout", "priority", "offsets", "sequence_id", "x"]
            parameter = place.parameters[generator.choice(names)]
            field = generator.choice(["int64_param", "string_param", "bool_param", "uint64_param", "double_param"])
            setattr(parameter, field, "utf16" if field == "string_param" else generator.choice([0, 1]))
    for _ in range(generator.choice([0, 0, 0, 1, 2, 40])):
        message.outputs.add(name=generator.choice(["RESULT", "LABEL_ID", "nothing"]))
    if message.outputs and generator.random() < 0.3:
        message.outputs[0].parameters["classification"].int64_param = generator.randrange(-2, 5)
    if generator.random() < 0.1:
        message.model_version = generator.choice(["1", "999", "-1", "x"])
    return message


def _name(generator: random.Random, task: str) -> str:
    others = [
        f"{task}_tokenizer",
        f"{task}_postprocess",
        f"{task}_encoder_fp32",
        "",
        "../" + task,
        "\u4efb\u52a1",
        "a" * 2000,
    ]
    return task if generator.random() < 0.8 else generator.choice(others)


def _body(generator: random.Random, path: str, text: str) -> bytes:
    value: Any = {"inputs": [text, text]}
    if "embeddings" in path:
        value = {"model": "x", "input": [text], "encoding_format": "float", "dimensions": 3}
    elif "rerank" in path:
        value = {"model": "x", "query": text, "documents": [text, {"text": text}], "top_n": 1}
    for _ in range(generator.choice([0, 1, 1, 2])):
        value = _value(generator, value)
    written = json.dumps(value, ensure_ascii=generator.random() < 0.5).encode("utf-8", "surrogatepass")
    if generator.random() < 0.15:
        written = b"\n".join([written, b'"' + text.encode() + b'"', b"", b"{"])
    if generator.random() < 0.05:
        written = b"[" * generator.randrange(100_000)
    return _maybe_changed(generator, written)


def _value(generator: random.Random, value: Any) -> Any:
    """With something nasty in one place."""
    if isinstance(value, dict) and value and generator.random() < 0.8:
        name = generator.choice(list(value))
        if generator.random() < 0.15:
            return {**value, str(generator.choice(NASTY)): generator.choice(NASTY)}
        return {**value, name: _value(generator, value[name])}
    if isinstance(value, list) and value and generator.random() < 0.6:
        index = generator.randrange(len(value))
        return [*value[:index], _value(generator, value[index]), *value[index + 1 :]]
    return generator.choice(NASTY)


def _chunks(generator: random.Random, body: bytes) -> bytes:
    parts, rest = [], body
    while rest:
        size = min(len(rest), generator.choice([1, 7, 1000, 60_000]) if len(parts) < 500 else len(rest))
        told = size if generator.random() < 0.98 else generator.choice([0, size + 1, 2**70])
        parts.append(b"%x%b\r\n%b\r\n" % (told, generator.choice([b"", b"", b";a=b"]), rest[:size]))
        rest = rest[size:]
    return b"".join(parts) + generator.choice([b"0\r\n\r\n"] * 8 + [b"", b"0\r\nX: y\r\n\r\n", b"zz\r\n"])


def _maybe_changed(generator: random.Random, data: bytes) -> bytes:
    return _bytes(generator, data) if generator.random() < 0.25 else data


def _bytes(generator: random.Random, data: bytes) -> bytes:
    """With bytes changed, cut, repeated or put in."""
    for _ in range(generator.choice([1, 1, 3])):
        at = generator.randrange(len(data) + 1)
        kind = generator.random()
        if kind < 0.4 and at < len(data):
            data = data[:at] + bytes([generator.randrange(256)]) + data[at + 1 :]
        elif kind < 0.6:
            data = data[:at]
        elif kind < 0.8:
            data = data[:at] + generator.randbytes(generator.randrange(20)) + data[at:]
        else:
            data = data[:at] + data[max(0, at - 40) :]
    return data
