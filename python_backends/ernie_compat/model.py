"""Triton backend `ernie_compat`: a thin adapter over the steps of ernie_runtime.triton.paddlenlp."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # ernie_runtime lies beside this folder

import triton_python_backend_utils as pb_utils

from ernie_runtime.triton import backend, paddlenlp


class TritonPythonModel:
    """One instance of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Choose the step that the configuration names; an error here is the reason Triton reports for the model."""
        self.step = paddlenlp.load_step(backend.parameters(args))

    def execute(self, requests: list) -> list:
        """Answer a dynamic batch."""
        return backend.execute(self.step, requests, pb_utils)
