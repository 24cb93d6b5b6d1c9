"""The engine Paddle Inference, on the CPU or a GPU: the framework that trained the model."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ..errors import EngineError
from . import OUTPUTS

GPU_MEMORY_MB = 256  # that Paddle allocates at first


def load(path: Path, settings: Mapping[str, str], threads: int, device: str) -> PaddleInferenceEngine:
    """The encoder. settings: OUTPUTS."""
    return PaddleInferenceEngine(path, settings[OUTPUTS].split(","), threads, device)


class PaddleInferenceEngine:
    """A static graph (model.json beside model.pdiparams); callable on int64 [B, L] inputs.

    outputs: names of the outputs in the order of the graph, since Paddle gives them names of its own. threads: 0 for
    the number of cores that this process may use.
    """

    def __init__(self, path: str | Path, outputs: list[str], threads: int = 0, device: str = "cpu") -> None:
        try:
            from paddle import inference
        except ImportError:
            raise EngineError(f"{path}: needs the Python package paddlepaddle (pip install paddlepaddle)") from None
        path = Path(path)
        config = inference.Config(str(path), str(path.with_suffix(".pdiparams")))
        if device == "gpu":
            config.enable_use_gpu(GPU_MEMORY_MB, 0)
        else:
            config.disable_gpu()
            config.set_cpu_math_library_num_threads(threads or len(os.sched_getaffinity(0)))
        config.disable_glog_info()
        try:
            self._predictor = inference.create_predictor(config)
        except Exception as error:  # Paddle's errors derive from RuntimeError and ValueError
            raise EngineError(f"{path}: Paddle Inference cannot load it ({str(error).splitlines()[0]})") from None
        self.outputs = outputs

    def __call__(self, tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name, float32 [B, ...]."""
        for name in self._predictor.get_input_names():
            self._predictor.get_input_handle(name).copy_from_cpu(np.ascontiguousarray(tensors[name]))
        self._predictor.run()
        handles = map(self._predictor.get_output_handle, self._predictor.get_output_names())
        return {name: handle.copy_to_cpu() for name, handle in zip(self.outputs, handles, strict=True)}
