"""A small task in this process, and a gRPC server that speaks Triton's protocol: real ones, but for the model."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent import futures
from dataclasses import dataclass, field
from typing import Any

import grpc
import numpy as np
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

from ernie_builders.config.tasks import ASSETS
from ernie_runtime.manifest import Evaluation, Label, Limits, Manifest, Variant
from ernie_runtime.steps.pipeline import Pipeline
from ernie_runtime.text.tokenization import ErnieTokenizer

LABELS = ("north", "south")


def toy_variant(name: str, **fields: Any) -> Variant:
    """In ONNX Runtime, where nothing else is said."""
    values: dict[str, Any] = {"engine": "onnxruntime", "file": "model.onnx", "bytes": 1, "sha256": "11"}
    return Variant(**{"name": name, "max_abs_error": 1e-5, **values, **fields})


def toy_manifest(max_length: int = 32, **fields: Any) -> Manifest:
    """Classification of one text."""
    evaluation = Evaluation(split="dev", rows=10, metrics={"accuracy": 0.5}, by="a test")
    values: dict[str, Any] = {
        "task": "toy",
        "kind": "sequence_classification",
        "title": "A toy",
        "version": 3,
        "labels": tuple(Label(name, name) for name in LABELS),
        "limits": Limits(max_length=max_length, doc_stride=max_length - 2, overflow="truncate", max_chars=60),
        "vocabulary_size": 9,
        "vocabulary_sha256": "00",
        "variants": (toy_variant("fp32", evaluations=(evaluation,)),),
        "recommended": "fp32",
        "main_metric": "accuracy",
        "examples": (("今天",), ("明天天气",)),
    }
    return Manifest(**{**values, **fields})


class CountingEngine:
    """Logits by the number of tokens; keeps the shape of every batch."""

    def __init__(self) -> None:
        self.shapes: list[tuple[int, ...]] = []

    def __call__(self, tensors: Any) -> dict[str, np.ndarray]:
        ids = tensors["input_ids"]
        self.shapes.append(ids.shape)
        tokens = (ids != 0).sum(axis=1)
        return {"logits": np.stack([tokens % 3, (tokens + 1) % 3], axis=1).astype(np.float32)}


@pytest.fixture(scope="session")
def tokenizer() -> ErnieTokenizer:
    return ErnieTokenizer.from_vocab(ASSETS / "encoder" / "vocab.txt")


@pytest.fixture
def pipeline(tokenizer: ErnieTokenizer) -> Pipeline:
    engine: Any = CountingEngine()
    return Pipeline(toy_manifest(), tokenizer, engine)


@dataclass
class ToyModel(service_pb2_grpc.GRPCInferenceServiceServicer):  # type: ignore[misc]  # has no types
    """Answers every text by itself. What a test changes, it changes before it sends anything."""

    answer: Callable[[str], str] = json.dumps
    seconds: float = 0.0
    refuse: Callable[[int], bool] = lambda number: False  # by the number of the request
    code: Any = grpc.StatusCode.UNAVAILABLE
    texts: list[str] = field(default_factory=list)
    running: int = 0
    most: int = 0  # requests at once
    lock: Any = field(default_factory=threading.Lock)

    def ModelInfer(self, request: Any, context: Any) -> Any:
        text = request.raw_input_contents[0][4:].decode()
        with self.lock:
            number = len(self.texts)
            self.texts.append(text)
            self.running += 1
            self.most = max(self.most, self.running)
        time.sleep(self.seconds)
        with self.lock:
            self.running -= 1
        if self.refuse(number):
            context.abort(self.code, "Exceeds maximum queue size")
        response = service_pb2.ModelInferResponse(model_name=request.model_name)
        body = self.answer(text).encode()
        output = response.outputs.add(name="RESULT", datatype="BYTES")
        output.shape.extend([1, 1])
        response.raw_output_contents.append(len(body).to_bytes(4, "little") + body)
        output = response.outputs.add(name="SCORE", datatype="FP32")
        output.shape.extend([1, 1])
        response.raw_output_contents.append(np.float32(0.5).tobytes())
        return response


@dataclass(frozen=True)
class ToyServer:
    """A running server; address is HOST:PORT."""

    address: str
    model: ToyModel


@pytest.fixture
def toy_server() -> Iterator[ToyServer]:
    model, server = ToyModel(), grpc.server(futures.ThreadPoolExecutor(16))
    service_pb2_grpc.add_GRPCInferenceServiceServicer_to_server(model, server)
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    yield ToyServer(f"127.0.0.1:{port}", model)
    server.stop(None).wait()
