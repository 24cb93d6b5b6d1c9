"""Graphs for TensorRT: FP16, and 8 bits with zero points that it takes; all run in ONNX Runtime on the CPU."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from ernie_builders.compression import onnx_fp16, onnx_int8
from ernie_builders.compression.qat import insert_ranges
from ernie_builders.lint.tensorrt import quantization_rules
from ernie_runtime.engines import load_engine

from ..places import Place


def inputs(seed: int, rows: int = 1, length: int = 12) -> dict[str, np.ndarray]:
    ids = np.random.default_rng(seed).integers(5, 60, (rows, length))
    return {"input_ids": ids, "token_type_ids": np.zeros_like(ids)}


def zero_points(graph: onnx.GraphProto) -> list[np.ndarray]:
    """Of every QuantizeLinear and DequantizeLinear."""
    constants = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    names = ("QuantizeLinear", "DequantizeLinear")
    return [constants[node.input[2]] for node in graph.node if node.op_type in names]


@pytest.mark.parametrize("method", ["ptq", "qat"])
@pytest.mark.parametrize("symmetric", [True, False])
def test_zero_points_of_8_bits(finished: Place, tmp_path: Path, method: str, symmetric: bool) -> None:
    source, target = finished.stage("export") / "model.onnx", tmp_path / "model.onnx"
    if method == "ptq":
        onnx_int8.quantize_static(source, target, [inputs(seed) for seed in range(20)], symmetric=symmetric)
    else:
        model = onnx.load(str(source))
        assert insert_ranges(model, dict.fromkeys(onnx_int8.products(source), (-2.5, 4.0)), symmetric)
        onnx.save(model, str(target))
    graph = onnx.load(str(target)).graph
    points = zero_points(graph)
    assert len(points) >= 12
    assert all(point.dtype == np.int8 and not point.any() for point in points) == symmetric
    findings = list(quantization_rules("model.onnx", onnx, graph, "publish again"))
    assert bool(findings) != symmetric
    if findings:
        assert "has a zero point that TensorRT refuses (UINT8; it takes INT8, 0)" in str(findings[0])
    feed = inputs(99, rows=5)
    expected, answered = (load_engine("onnxruntime", file)(feed)["logits"] for file in (source, target))
    assert 0 < np.abs(expected - answered).max() < 0.1 * np.abs(expected).max()


def test_fp16(finished: Place, tmp_path: Path) -> None:
    source, target = finished.stage("export") / "model.onnx", tmp_path / "model.onnx"
    onnx_fp16.convert(source, target)
    model = onnx.load(str(target))
    assert {tensor.type.tensor_type.elem_type for tensor in model.graph.output} == {onnx.TensorProto.FLOAT}
    matrices = [tensor for tensor in model.graph.initializer if len(tensor.dims) == 2]
    assert matrices and {tensor.data_type for tensor in matrices} == {onnx.TensorProto.FLOAT16}
    assert target.stat().st_size < 0.6 * source.stat().st_size
    feed = inputs(99, rows=5)
    expected, answered = (load_engine("onnxruntime", file)(feed)["logits"] for file in (source, target))
    assert answered.dtype == np.float32
    assert 0 < np.abs(expected - answered).max() < 0.01 * np.abs(expected).max()


def test_training_rounds_to_the_symmetric_range() -> None:
    """What training rounds to is what the graph rounds to: multiples of the step, up to 127 of them."""
    paddle = pytest.importorskip("paddle")
    from ernie_builders.compression.qat import BUFFER, make_quantized

    linear = paddle.nn.Linear(4, 3)
    encoder = SimpleNamespace(sublayers=lambda: [linear])
    model: Any = SimpleNamespace(ernie=SimpleNamespace(encoder=encoder))
    assert make_quantized(model, symmetric=True) == 1
    getattr(linear, BUFFER).set_value(np.array([-1.0, 2.54, 1.0], np.float32))
    linear.eval()
    linear.weight.set_value(np.eye(4, 3, dtype=np.float32))
    linear.bias.set_value(np.zeros(3, np.float32))
    values = np.array([[0.031, -5.0, 5.0, 0.0]], np.float32)
    assert np.allclose(linear(paddle.to_tensor(values)).numpy(), [[0.04, -2.54, 2.54]], atol=1e-5)
