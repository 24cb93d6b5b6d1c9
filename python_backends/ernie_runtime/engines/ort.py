"""The engine ONNX Runtime, on the CPU or a GPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnxruntime as ort

from ..errors import EngineError


def load(path: Path, settings: Mapping[str, str], threads: int, device: str) -> OrtEngine:
    """The encoder; this engine has no settings."""
    del settings
    return OrtEngine(path, threads, device)


LENGTHS = "LENGTHS"  # input of a packed graph, which takes rows of different lengths, one behind the other


def _packed(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inputs of a packed graph, as a C++ engine gives them."""
    rows, length = next(iter(tensors.values())).shape
    return {
        **{name: array.reshape(-1) for name, array in tensors.items()},
        LENGTHS: np.full((rows, 1), length, np.int32),
    }


class OrtEngine:
    """An ONNX encoder in an ONNX Runtime session; callable on int64 [B, L] inputs.

    threads: intra-op threads, 0 for the number of cores that this process may use. Spinning is off: on a shared CPU a
    spinning pool takes time that tokenizing and decoding need.
    """

    def __init__(self, path: str | Path, threads: int = 0, device: str = "cpu") -> None:
        options = ort.SessionOptions()
        options.intra_op_num_threads = threads or len(os.sched_getaffinity(0))
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        providers = ["CUDAExecutionProvider", "CPUExecutionProvider"] if device == "gpu" else ["CPUExecutionProvider"]
        try:
            self.session = ort.InferenceSession(str(path), options, providers=providers)
        except Exception as error:  # onnxruntime raises many classes; all mean that the file cannot be used
            raise EngineError(f"{path}: ONNX Runtime cannot load it ({str(error).splitlines()[0]})") from None
        self.inputs = [tensor.name for tensor in self.session.get_inputs()]
        self.outputs = [tensor.name for tensor in self.session.get_outputs()]

    def __call__(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name, float32 [B, ...]."""
        if LENGTHS in self.inputs:
            tensors = _packed(tensors)
        values = self.session.run(self.outputs, {name: tensors[name] for name in self.inputs})
        return dict(zip(self.outputs, values, strict=True))
