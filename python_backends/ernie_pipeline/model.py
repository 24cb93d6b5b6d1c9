"""Triton backend `ernie_pipeline`: a whole task in one process, a thin adapter over ernie_runtime.steps.fused."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # ernie_runtime lies beside this folder

import triton_python_backend_utils as pb_utils

from ernie_runtime.steps import fused
from ernie_runtime.triton import backend
from ernie_runtime.triton.draining import Draining
from ernie_runtime.triton.metrics import TokenCounters


class TritonPythonModel:
    """One instance of the model, its encoder on the device of the instance group."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the task; an error here is the reason Triton reports for the model."""
        device = "gpu" if args["model_instance_kind"] == "GPU" else "cpu"
        self.counters = TokenCounters(pb_utils, args["model_name"], args["model_version"])
        folder, parameters = backend.version_folder(args), backend.parameters(args)
        self.step = fused.FusedStep.load(folder, parameters, device, self.counters)
        self.admission = backend.admission(args)
        self.draining = Draining.from_environment()

    def execute(self, requests: list) -> list:
        """Answer a dynamic batch."""
        return backend.execute(self.step, requests, pb_utils, self.admission, self.draining)

    def finalize(self) -> None:
        """Called when the model is unloaded."""
        self.counters.close()
