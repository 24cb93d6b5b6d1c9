"""8-bit quantization in ONNX: dynamic, or static with QuantizeLinear and DequantizeLinear at the matrix products."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from .calibration import Feed

if TYPE_CHECKING:
    from onnx import ModelProto, NodeProto

METHODS = ("min-max", "moving-average", "entropy", "percentile")
MIN_ELEMENTS = 1024  # a smaller table stays in float


def quantize_dynamic(source: Path, target: Path, ignored: Iterable[str] = ()) -> None:
    """Weights in int8 (one scale per channel), activations in uint8 with a range computed in each call."""
    from onnxruntime.quantization import QuantType
    from onnxruntime.quantization import quantize_dynamic as run

    with _quiet():
        run(
            str(source),
            str(target),
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            nodes_to_exclude=sorted(ignored),
            extra_options={"MatMulConstBOnly": True},
        )


def quantize_static(
    source: Path,
    target: Path,
    feeds: Sequence[Feed],
    method: str = "moving-average",
    ignored: Iterable[str] = (),
    symmetric: bool = False,
) -> None:
    """Weights in int8 (one scale per channel), activations in uint8 with ranges from the calibration feeds.

    Only products with a constant matrix are quantized; their outputs stay in float, in which they are used next.
    symmetric: activations in int8 with zero point 0, the only ones that TensorRT takes.
    """
    import onnxruntime.quantization as q

    calibrate = {"entropy": q.CalibrationMethod.Entropy, "percentile": q.CalibrationMethod.Percentile}
    with _quiet():
        q.quantize_static(
            str(source),
            str(target),
            _Reader(feeds),
            quant_format=q.QuantFormat.QDQ,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            activation_type=q.QuantType.QInt8 if symmetric else q.QuantType.QUInt8,
            weight_type=q.QuantType.QInt8,
            nodes_to_exclude=sorted(ignored),
            calibrate_method=calibrate.get(method, q.CalibrationMethod.MinMax),
            extra_options={
                "MatMulConstBOnly": True,
                "CalibMovingAverage": method == "moving-average",
                "OpTypesToExcludeOutputQuantization": ["MatMul"],
                "ActivationSymmetric": symmetric,
            },
        )


def products(source: Path) -> list[str]:
    """Names of the matrix products with a constant matrix, in graph order."""
    import onnx

    graph = onnx.load(str(source)).graph
    constants = {tensor.name for tensor in graph.initializer}
    return [node.name for node in graph.node if node.op_type == "MatMul" and node.input[1] in constants]


def quantize_tables(model: ModelProto) -> int:
    """Store every float table that only Gather reads in int8, with one scale per row; returns the bytes saved.

    model: changed in place. Only the rows that a text needs are converted to float, when they are
    read, so the table is small in memory as well as in the file.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph, bytes_saved = model.graph, 0
    readers: dict[str, list[NodeProto]] = {}
    for node in graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    for tensor in list(graph.initializer):
        name, readers_of_table = tensor.name, readers.get(tensor.name, [])
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.ndim != 2 or values.size < MIN_ELEMENTS or not readers_of_table:
            continue
        if any(node.op_type != "Gather" or node.input[0] != name or _axis(node) != 0 for node in readers_of_table):
            continue
        scales = np.maximum(np.abs(values).max(1, keepdims=True), np.float32(1e-12)) / np.float32(127)
        int8_values = np.rint(values / scales).astype(np.int8)
        bytes_saved += values.nbytes - int8_values.nbytes - scales.nbytes
        tensor.CopyFrom(numpy_helper.from_array(int8_values, name))
        graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
        for node in readers_of_table:
            output, ids = node.output[0], node.input[1]
            node.output[0] = f"{output}_int8"
            new_nodes = [
                helper.make_node("Cast", [f"{output}_int8"], [f"{output}_whole"], to=TensorProto.FLOAT),
                helper.make_node("Gather", [f"{name}_scales", ids], [f"{output}_scale"]),
                helper.make_node("Mul", [f"{output}_whole", f"{output}_scale"], [output]),
            ]
            position = list(graph.node).index(node) + 1
            for new_node in reversed(new_nodes):
                graph.node.insert(position, new_node)
    return bytes_saved


def _axis(node: NodeProto) -> int:
    return next((attribute.i for attribute in node.attribute if attribute.name == "axis"), 0)


class _Reader:
    """Calibration feeds one by one, in the interface of onnxruntime.quantization."""

    def __init__(self, feeds: Sequence[Feed]) -> None:
        self._left: Iterator[Feed] = iter(feeds)

    def get_next(self) -> Feed | None:
        """The next feed; None after the last."""
        return next(self._left, None)


class _quiet:
    """Silences the quantizer's warning that the model was not pre-processed: ours already has that form."""

    def __enter__(self) -> None:
        self._level = logging.getLogger().level
        logging.getLogger().setLevel(logging.ERROR)

    def __exit__(self, *_: object) -> None:
        logging.getLogger().setLevel(self._level)
