"""Triton backend `ernie_tokenizer`: a thin adapter over ernie_runtime.steps.tokenizer.TokenizerStep."""

import sys
from pathlib import Path

sys.path.append(str(Path(__file__).resolve().parents[1]))  # ernie_runtime lies beside this folder

import triton_python_backend_utils as pb_utils

from ernie_runtime.steps.tokenizer import TokenizerStep
from ernie_runtime.triton import backend
from ernie_runtime.triton.draining import Draining


class TritonPythonModel:
    """One instance of the model."""

    def initialize(self, args: dict[str, str]) -> None:
        """Load the version directory; an error here is the reason Triton reports for the model."""
        self.step = TokenizerStep.load(backend.version_folder(args), backend.parameters(args))
        self.draining = Draining.from_environment()

    def execute(self, requests: list) -> list:
        """Answer a dynamic batch."""
        return backend.execute(self.step, requests, pb_utils, draining=self.draining)
