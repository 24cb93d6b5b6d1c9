"""Triton backend `openvino` for servers without the C++ one: batches ragged requests by a token budget."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # ernie_runtime lies beside this folder

import triton_python_backend_utils as pb_utils

from ernie_runtime.triton import backend
from ernie_runtime.triton.metrics import TokenCounters


class TritonPythonModel:
    """One instance of the model, on the device of its instance group."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the encoder; an error here is the reason Triton reports for the model."""
        self.counters = TokenCounters(pb_utils, args["model_name"], args["model_version"])
        self.step = backend.encoder_step(args, "openvino", self.counters)
        self.admission = backend.admission(args)

    def execute(self, requests: list) -> list:
        """Answer a dynamic batch of ragged requests."""
        return backend.execute(self.step, requests, pb_utils, self.admission)

    def finalize(self) -> None:
        """Called when the model is unloaded."""
        self.counters.close()
