"""Triton backend `onnxruntime` where the C++ one is missing: ragged requests, batched by a token budget.

Parameters: `intra_op_thread_count` (the C++ backend's name; 0: all cores), `token_budget` and `max_rows` of a
micro-batch. It runs ERNIE encoders (input_ids, token_type_ids), not any ONNX model.
"""

import json
import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # ernie_runtime lies beside this folder

import triton_python_backend_utils as pb_utils

from ernie_runtime import triton
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
        budget, rows = int(options.get("token_budget", 2048)), int(options.get("max_rows", 64))
        self.step = EncoderStep(engine, triton.per_token_outputs(args), budget, rows)

    def execute(self, requests: list) -> list:
        """Answer a dynamic batch of ragged requests."""
        return triton.execute(self.step, requests, pb_utils)
