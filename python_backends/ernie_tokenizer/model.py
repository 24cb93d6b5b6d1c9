"""Triton backend `ernie_tokenizer`: a thin adapter over ernie_runtime.steps.TokenizerStep."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # ernie_runtime lies beside this folder

import triton_python_backend_utils as pb_utils

from ernie_runtime import triton
from ernie_runtime.steps import TokenizerStep


class TritonPythonModel:
    """One instance of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version directory; an error here is the reason Triton reports for the model."""
        self.step = TokenizerStep.load(triton.version_folder(args), triton.parameters(args))
        self.admission = triton.first_admission(args, pb_utils)

    def execute(self, requests: list) -> list:
        """Answer a dynamic batch."""
        return triton.execute(self.step, requests, pb_utils, self.admission)
