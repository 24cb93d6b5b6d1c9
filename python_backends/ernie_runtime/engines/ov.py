"""The engine OpenVINO, on the CPU."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import EngineError
from .signal_stack import kept_signal_stack


def load(path: Path, settings: Mapping[str, str], threads: int, device: str) -> OpenVinoEngine:
    """The encoder. settings: HINT_BF16, YES or NO. It runs on the CPU whatever the device."""
    del device
    return OpenVinoEngine(path, threads, settings.get("HINT_BF16", "NO").upper() == "YES")


class OpenVinoEngine:
    """An encoder in OpenVINO IR (model.xml beside model.bin) or ONNX; callable on int64 [B, L] inputs.

    threads: 0 for the number of cores that this process may use; they are not pinned, since other steps share the
    cores. bf16: compute in BF16 on CPUs that support it, in FP32 on others (HINT_BF16 is the option of NVIDIA's
    backend).
    """

    def __init__(self, path: str | Path, threads: int = 0, bf16: bool = False) -> None:
        try:
            from openvino import Core
        except ImportError:
            raise EngineError(f"{path}: needs the Python package openvino (pip install openvino)") from None
        options = {
            "INFERENCE_PRECISION_HINT": "bf16" if bf16 else "f32",
            "INFERENCE_NUM_THREADS": threads or len(os.sched_getaffinity(0)),
            "NUM_STREAMS": 1,
            "ENABLE_CPU_PINNING": False,
        }
        try:
            with kept_signal_stack():
                model = Core().compile_model(str(path), "CPU", options)
        except Exception as error:  # openvino raises RuntimeError for any fault of a file or an option
            raise EngineError(f"{path}: OpenVINO cannot load it ({_reason(error)})") from None
        self._request = model.create_infer_request()
        self.inputs = [port.get_any_name() for port in model.inputs]
        self.outputs = [port.get_any_name() for port in model.outputs]

    def __call__(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name, float32 [B, ...]."""
        values = self._request.infer({name: tensors[name] for name in self.inputs}, share_inputs=True)
        # Copies, because the next call overwrites the memory of the request.
        return {name: np.array(values[i]) for i, name in enumerate(self.outputs)}


def _reason(error: Exception) -> str:
    """The last line of OpenVINO's message: the lines before it name its own source files."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[-1] if lines else type(error).__name__
