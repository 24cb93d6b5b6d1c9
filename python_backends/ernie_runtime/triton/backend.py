"""Connects the steps with Triton's Python backend; the model.py of each backend calls it.

`pb_utils` (triton_python_backend_utils) exists only inside the server, so it is passed in.
"""

from __future__ import annotations

import json
import os
import time
import traceback
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from ..engines import engine_spec
from ..errors import InvalidItem
from ..manifest import Manifest
from ..names import MANIFEST_FILE
from ..steps.encoder import EncoderStep
from ..steps.step import Step
from . import draining as end
from .admission import UNBOUNDED, Admission, ExecutionLimit
from .metrics import TokenCounters

ADMISSION = "ERNIE_ADMISSION"
"""Variable of the server's environment; "off": no model refuses requests that it cannot answer in time."""
LARGE_REQUEST = 8
"""Rows from which a request is asked whether its client has cancelled it. The question is a message to the server, some
60 microseconds, and Triton itself drops requests that are cancelled in its queue or between the steps of an ensemble.
That leaves requests whose batch has been formed already: they are few, and expensive only where they are large."""


def parameters(args: Mapping[str, str]) -> dict[str, str]:
    """The `parameters` of the model's configuration."""
    config = json.loads(args["model_config"])
    return {name: value["string_value"] for name, value in config.get("parameters", {}).items()}


def admission(args: Mapping[str, str]) -> ExecutionLimit | None:
    """The limit of a model by its parameter `slo_ms`; None without it, or where none is to refuse."""
    slo_ms = 0.0 if os.environ.get(ADMISSION) == "off" else float(parameters(args).get("slo_ms", 0))
    return ExecutionLimit(slo_ms) if slo_ms > 0 else None


def per_token_outputs(args: Mapping[str, str]) -> list[str]:
    """Names of the outputs whose length varies, by the model's configuration."""
    outputs = json.loads(args["model_config"])["output"]
    return [tensor["name"] for tensor in outputs if int(tensor["dims"][0]) == -1]


def version_folder(args: Mapping[str, str]) -> Path:
    """The version directory that Triton is loading."""
    return Path(args["model_repository"], args["model_version"])


def encoder_step(args: Mapping[str, str], engine: str, counters: TokenCounters) -> EncoderStep:
    """An encoder in one of the Python backends, which batch ragged requests by a token budget.

    Parameters of the model: see `EncoderStep.load`. It runs ERNIE encoders (input_ids, token_type_ids), not any model.
    """
    config = json.loads(args["model_config"])
    file = version_folder(args) / (config.get("default_model_filename") or engine_spec(engine).file)
    device = "gpu" if args["model_instance_kind"] == "GPU" else "cpu"
    path = version_folder(args) / MANIFEST_FILE
    manifest = Manifest.load(path) if path.is_file() else None
    return EncoderStep.load(engine, file, parameters(args), per_token_outputs(args), device, counters, manifest)


def execute(
    step: Step,
    requests: Sequence[Any],
    pb_utils: Any,
    admission: Admission | None = None,
    draining: end.Draining | None = None,
) -> list[Any]:
    """The responses to requests, in order; a bad request fails alone, and no sender sees a traceback.

    admission: bounds the rows that are processed; further ones are refused with UNAVAILABLE. draining: refuses all
    that is new where the server is about to end. Large requests that were cancelled are not processed where the step is
    `costly`.
    """
    if draining and draining.refuses():
        return [_failed(pb_utils, "UNAVAILABLE", end.REASON) for _ in requests]
    responses: list[Any] = [None] * len(requests)
    costly = getattr(step, "costly", False)
    accepted: list[int] = []
    inputs: list[dict[str, np.ndarray]] = []
    rows, room = 0, admission.room() if admission else UNBOUNDED
    for i, request in enumerate(requests):
        tensors = [pb_utils.get_input_tensor_by_name(request, name) for name in step.inputs]
        missing = [name for name, tensor in zip(step.inputs, tensors, strict=True) if tensor is None]
        if missing:
            responses[i] = _failed(pb_utils, "INVALID_ARG", f"input {', '.join(missing)} is missing")
            continue
        arrays = {name: tensor.as_numpy() for name, tensor in zip(step.inputs, tensors, strict=True)}
        shape = next(iter(arrays.values())).shape
        if 0 in shape:
            responses[i] = _failed(pb_utils, "INVALID_ARG", "the request holds no items")
            continue
        if costly and shape[0] >= LARGE_REQUEST and request.is_cancelled():
            responses[i] = _failed(pb_utils, "CANCELLED", "the request was cancelled")
            continue
        if accepted and rows + shape[0] > room:
            responses[i] = _failed(pb_utils, "UNAVAILABLE", "more requests than the service can answer in time")
            continue
        try:
            arrays |= _given(step, request)
        except InvalidItem as fault:
            responses[i] = _failed(pb_utils, "INVALID_ARG", str(fault))
            continue
        rows += shape[0]
        accepted.append(i)
        inputs.append(arrays)
    began = time.monotonic()
    outcomes = _run(step, inputs, pb_utils) if accepted else []
    if admission and accepted:
        admission.ended(rows, time.monotonic() - began)
    if draining:
        draining.ended()
    for i, outcome in zip(accepted, outcomes, strict=True):
        if isinstance(outcome, InvalidItem):
            responses[i] = _failed(pb_utils, "INVALID_ARG", str(outcome))
        elif isinstance(outcome, Exception):
            responses[i] = _failed(
                pb_utils, "INTERNAL", f"internal error ({type(outcome).__name__}); see the server's log"
            )
        else:
            responses[i] = pb_utils.InferenceResponse(
                [pb_utils.Tensor(n, np.ascontiguousarray(a)) for n, a in outcome.items()]
            )
    return responses


def _given(step: Step, request: Any) -> dict[str, np.ndarray]:
    """Those of the step's parameters that a request has, as scalars.

    InvalidItem where the server has a response cache: the answer would be kept for requests without them.
    """
    names = getattr(step, "parameters", ())
    given = json.loads(request.parameters() or "{}") if names else {}
    arrays = {name: np.array(str(given[name])) for name in names if name in given}
    if arrays and has_response_cache():
        raise InvalidItem(
            f"parameter {', '.join(arrays)}: this server has a response cache, which does not see it: leave it "
            "out, or ask a server without a cache"
        )
    return arrays


@lru_cache(maxsize=1)
def has_response_cache() -> bool:
    """Whether the tritonserver that started this process keeps answers, which it says nowhere but in its arguments."""
    try:
        words = Path("/proc", str(os.getppid()), "cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(word.startswith((b"--cache-config", b"--response-cache-byte-size")) for word in words)


def _run(step: Step, inputs: Sequence[dict[str, np.ndarray]], pb_utils: Any) -> list[dict[str, np.ndarray] | Exception]:
    """The outcomes of all requests together, or one by one where that fails, so that only the guilty ones fail."""
    try:
        return list(step.run(inputs))
    except Exception as error:
        if len(inputs) == 1:
            pb_utils.Logger.log_error(f"{type(step).__name__}: {traceback.format_exc()}")
            return [error]
        return [outcome for request in inputs for outcome in _run(step, [request], pb_utils)]


def _failed(pb_utils: Any, code: str, message: str) -> Any:
    return pb_utils.InferenceResponse(error=pb_utils.TritonError(message, getattr(pb_utils.TritonError, code)))
