"""Warm-up requests: the task's examples, run through the steps once, stored as Triton's raw input files."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.engines import Engine
from ernie_runtime.errors import InvalidItem
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import encoder_model, postprocess_model, tokenizer_model
from ernie_runtime.steps.batching import ON_CPU
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import Step, strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenizer import Tokenizer

from .model_config import add_warmup, buckets

Arrays = Mapping[str, np.ndarray]
FALLBACK = "今天天气很好"  # if no example of the task fits in one window


def raw_bytes(array: np.ndarray) -> bytes:
    """Triton's raw form of a tensor: little-endian values; in BYTES a uint32 length before each element."""
    if array.dtype != object:
        return np.ascontiguousarray(array).tobytes()
    return b"".join(struct.pack("<I", len(value)) + value for value in array.reshape(-1))


def warmup_requests(
    manifest: Manifest, tokenizer: Tokenizer, engine: Engine, examples: Sequence[tuple[str, ...]], variant: str
) -> dict[str, list[Arrays]]:
    """Model name -> the inputs of its warm-up requests, one row each (Triton adds the batch dimension itself).

    They are padded to length buckets as requests are in the portable configuration: a TensorRT engine refuses what is
    shorter than its profile. ValueError if an example is invalid.
    """
    postprocess = PostprocessStep(manifest)
    encoder = EncoderStep(engine, [spec.name for spec in postprocess.specs if spec.per_token], ON_CPU)
    steps: tuple[Step, ...] = (TokenizerStep(manifest, tokenizer, buckets(manifest)), encoder, postprocess)
    names = (tokenizer_model(manifest.task), encoder_model(manifest.task, variant), postprocess_model(manifest.task))
    requests: dict[str, list[Arrays]] = {name: [] for name in names}
    for example in [*examples, (FALLBACK,) * len(steps[0].inputs)]:
        if example[0] == FALLBACK and requests[names[-1]]:
            break
        tensors = {n: strings([text.encode()]) for n, text in zip(steps[0].inputs, example, strict=True)}
        for name, step in zip(names, steps, strict=True):
            inputs = {key: tensors[key] for key in step.inputs}
            if any(len(value) != 1 for value in inputs.values()):
                break  # an example of several windows does not fit a one-row request
            outputs = step.run([inputs])[0]
            if isinstance(outputs, InvalidItem) and example[0] == FALLBACK:
                break  # a kind that takes no plain text: the server starts cold
            requests[name].append(inputs)
            if isinstance(outputs, InvalidItem):
                raise ValueError(f"example {example!r} of task {manifest.task}: {outputs}")
            tensors.update(outputs)
    return requests


def write_warmup(config: pb.ModelConfig, folder: Path, requests: Sequence[Arrays]) -> None:
    """Add the requests to the configuration and write their files into `folder`/warmup."""
    for number, request in enumerate(requests):
        files = {}
        for tensor, array in request.items():
            file = folder / "warmup" / f"{tensor}_{number}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(raw_bytes(array))
            files[tensor] = (file.name, array.shape[1:])
        add_warmup(config, f"example_{number}", files)
