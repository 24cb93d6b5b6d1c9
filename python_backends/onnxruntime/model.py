"""Triton backend `onnxruntime` where the C++ one is missing: ragged requests, batched by a token budget.

Parameters: `intra_op_thread_count` (the C++ backend's name; 0: all cores), and how micro-batches are cut:
`token_budget`, `max_rows`, `call_tokens` (ernie_runtime.batching.Batching). It runs ERNIE encoders (input_ids,
token_type_ids), not any ONNX model.
"""

import json
import sys
from dataclasses import fields
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # ernie_runtime lies beside this folder

import triton_python_backend_utils as pb_utils

from ernie_runtime import triton
from ernie_runtime.batching import Batching
from ernie_runtime.engines.ort import OrtEngine
from ernie_runtime.steps import EncoderStep


class TritonPythonModel:
    """One instance of the model, on the device of its instance group."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the ONNX file; an error here is the reason Triton reports for the model."""
        options = triton.parameters(args)
        name = json.loads(args["model_config"]).get("default_model_filename") or "model.onnx"
        device = "gpu" if args["model_instance_kind"] == "GPU" else "cpu"
        engine = OrtEngine(triton.version_folder(args) / name, int(options.get("intra_op_thread_count", 0)), device)
        batching = Batching(
            **{field.name: int(options[field.name]) for field in fields(Batching) if field.name in options}
        )
        self.step = EncoderStep(engine, triton.per_token_outputs(args), batching)

    def execute(self, requests: list) -> list:
        """Answer a dynamic batch of ragged requests."""
        return triton.execute(self.step, requests, pb_utils)
