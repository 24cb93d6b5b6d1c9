"""An encoder's ONNX graph in FP16, for GPUs; its inputs and outputs keep their types.

ONNX Runtime runs it on a CPU too, by casting around the operators that it has in FP32 only: slower, but with the
rounding of FP16 at every operator, which is what the gate has to judge.
"""

from __future__ import annotations

from pathlib import Path


def convert(source: Path, target: Path) -> None:
    """Write the graph with weights and products in FP16."""
    import onnx
    from onnxruntime.transformers.float16 import convert_float_to_float16
    from onnxruntime.transformers.onnx_model import OnnxModel

    model = OnnxModel(convert_float_to_float16(onnx.load(str(source)), keep_io_types=True))
    model.topological_sort()  # the conversion appends its casts
    onnx.checker.check_model(model.model)
    onnx.save(model.model, str(target))
