"""Warm-up requests: real examples, run through the steps once, stored as Triton's raw input files."""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ernie_runtime.engines import Engine
from ernie_runtime.errors import InvalidItem
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import encoder_model, postprocess_model, tokenizer_model
from ernie_runtime.steps.batching import ON_CPU
from ernie_runtime.steps.encoder import EncoderStep
from ernie_runtime.steps.postprocessor import PostprocessStep
from ernie_runtime.steps.step import Step, strings
from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.text.tokenization import ErnieTokenizer

from .model_config import add_warmup

Arrays = Mapping[str, np.ndarray]
FALLBACK = "今天天气很好"  # where a task has no example that fits one window


def raw_bytes(array: np.ndarray) -> bytes:
    """Triton's raw form: little-endian values; BYTES as a uint32 length before each element."""
    if array.dtype != object:
        return np.ascontiguousarray(array).tobytes()
    return b"".join(struct.pack("<I", len(value)) + value for value in array.reshape(-1))


def warmup_requests(
    manifest: Manifest, tokenizer: ErnieTokenizer, engine: Engine, examples: Sequence[tuple[str, ...]], variant: str
) -> dict[str, list[Arrays]]:
    """Model name -> the inputs of its warm-up requests, one row each (Triton adds the batch dimension itself)."""
    post = PostprocessStep(manifest)
    encoder = EncoderStep(engine, [spec.name for spec in post.specs if spec.per_token], ON_CPU)
    steps: tuple[Step, ...] = (TokenizerStep(manifest, tokenizer), encoder, post)
    names = (tokenizer_model(manifest.task), encoder_model(manifest.task, variant), postprocess_model(manifest.task))
    requests: dict[str, list[Arrays]] = {name: [] for name in names}
    for example in [*examples, (FALLBACK,) * len(steps[0].inputs)]:
        if example[0] == FALLBACK and requests[names[-1]]:
            break
        flow: dict[str, Any] = {n: strings([t.encode()]) for n, t in zip(steps[0].inputs, example, strict=True)}
        for name, step in zip(names, steps, strict=True):
            inputs = {key: flow[key] for key in step.inputs}
            if any(len(value) != 1 for value in inputs.values()):
                break  # an example of several windows does not fit a one-row request
            outputs = step.run([inputs])[0]
            if isinstance(outputs, InvalidItem) and example[0] == FALLBACK:
                break  # a kind that takes no plain text: the server starts cold
            requests[name].append(inputs)
            if isinstance(outputs, InvalidItem):
                raise ValueError(f"example {example!r} of task {manifest.task}: {outputs}")
            flow.update(outputs)
    return requests


def write_warmup(config: Any, folder: Path, requests: Sequence[Arrays]) -> None:
    """Add the requests to the configuration, and write their files into `folder`/warmup."""
    for number, request in enumerate(requests):
        named = {}
        for tensor, array in request.items():
            file = folder / "warmup" / f"{tensor}_{number}"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(raw_bytes(array))
            named[tensor] = (file.name, array.shape[1:])
        add_warmup(config, f"example_{number}", named)
