"""Quantization-aware training: linear layers that round as 8-bit kernels do while they are trained.

Weights are int8, symmetric, with one scale per column. Inputs are uint8, with a range that is a moving average over the
batches, or int8 with that range made symmetric, the only one that TensorRT takes. The rounding has gradient 1
(straight-through estimator, Bengio et al. 2013). Source: Jacob et al. 2018, "Quantization and Training of Neural
Networks for Efficient Integer-Arithmetic-Only Inference".
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ..modeling.width import layer_count

if TYPE_CHECKING:
    from onnx import ModelProto
    from paddle import Tensor
    from paddle.nn import Layer

BUFFER = "input_range"
PRODUCTS = (*(f"self_attn.{name}_proj" for name in ("q", "k", "v", "out")), "linear1", "linear2")
MOMENTUM = 0.95  # of the moving average of an input's extremes
LEVELS = 255  # of uint8
WEIGHT_LEVELS = 127  # of int8, symmetric

Range = tuple[float, float]


def make_quantized(model: Layer, symmetric: bool = False) -> int:
    """Make the encoder's Linear layers round as in 8 bits (heads stay in float); returns their number.

    model: a Paddle layer with the encoder as `.ernie`. Parameters and their names stay; each Linear gets a buffer
    `input_range`, float32 [3]: low, high, and 1 once it has been set.
    """
    import paddle

    linears = [layer for layer in model.ernie.encoder.sublayers() if isinstance(layer, paddle.nn.Linear)]
    for layer in linears:
        layer.register_buffer(BUFFER, paddle.zeros([3]))
        layer.forward = partial(_forward, layer, symmetric)
    return len(linears)


def learnt_ranges(weights: Mapping[str, np.ndarray]) -> list[Range]:
    """The input ranges in a checkpoint, in the order in which the encoder's layers compute."""
    ranges = []
    for layer in range(layer_count(weights)):
        for part in PRODUCTS:
            low, high, _ = (float(x) for x in weights[f"ernie.encoder.layers.{layer}.{part}.{BUFFER}"])
            ranges.append((min(low, 0.0), max(high, 0.0)))
    return ranges


def _forward(layer: Layer, symmetric: bool, inputs: Tensor) -> Tensor:
    """A Linear layer's output with inputs and weights rounded to 8 bits."""
    import paddle

    input_range = getattr(layer, BUFFER)
    if layer.training:
        input_range.set_value(_moving_average(input_range.numpy(), float(inputs.min()), float(inputs.max())))
    low, high, seen = (float(x) for x in input_range.numpy())
    weight = layer.weight
    step = paddle.maximum(weight.detach().abs().max(0, keepdim=True), paddle.to_tensor(1e-8)) / WEIGHT_LEVELS
    rounded = paddle.round(weight.detach() / step) * step
    weight = weight + (rounded - weight).detach()
    if seen:
        if symmetric:
            step = symmetric_scale((low, high))
            inputs = inputs.clip(-WEIGHT_LEVELS * step, WEIGHT_LEVELS * step)
        else:
            step, zero = scale_and_zero((min(low, 0.0), max(high, 0.0)))
            inputs = inputs.clip(-zero * step, (LEVELS - zero) * step)  # values outside the range have no gradient
        inputs = inputs + (paddle.round(inputs.detach() / step) * step - inputs).detach()
    return paddle.nn.functional.linear(inputs, weight, layer.bias)


def _moving_average(input_range: np.ndarray, low: float, high: float) -> np.ndarray:
    if not input_range[2]:
        return np.array([low, high, 1], np.float32)
    low, high = (MOMENTUM * old + (1 - MOMENTUM) * new for old, new in zip(input_range, (low, high), strict=False))
    return np.array([low, high, 1], np.float32)


def scale_and_zero(value_range: Range) -> tuple[float, int]:
    """Step and zero point of uint8 for a range that contains 0."""
    low, high = value_range
    step = max(high - low, 1e-8) / LEVELS
    return step, int(np.clip(round(-low / step), 0, LEVELS))


def symmetric_scale(value_range: Range) -> float:
    """Step of int8 with zero point 0."""
    return max(abs(value_range[0]), abs(value_range[1]), 1e-8) / WEIGHT_LEVELS


def insert_ranges(model: ModelProto, ranges: dict[str, Range], symmetric: bool = False) -> int:
    """Insert QuantizeLinear and DequantizeLinear with learnt ranges at the products of an exported graph; their number.

    model: changed in place. ranges: by the name of the product's node. Weights become int8, one scale
    per column; ONNX Runtime and OpenVINO run such products in 8 bits.
    """
    from onnx import helper, numpy_helper

    graph = model.graph
    constants = {tensor.name: tensor for tensor in graph.initializer}
    quantized_inputs: dict[tuple[str, Range], str] = {}
    count = 0
    for node in [node for node in graph.node if node.name in ranges]:
        source, weight = node.input[0], numpy_helper.to_array(constants[node.input[1]])
        input_range = ranges[node.name]
        key = (source, input_range)
        new_nodes = []
        if key not in quantized_inputs:
            step, zero = (symmetric_scale(input_range), 0) if symmetric else scale_and_zero(input_range)
            base = f"{node.name}_input"
            graph.initializer.append(numpy_helper.from_array(np.float32(step), f"{base}_scale"))
            graph.initializer.append(
                numpy_helper.from_array((np.int8 if symmetric else np.uint8)(zero), f"{base}_zero")
            )
            quantization = [f"{base}_scale", f"{base}_zero"]
            new_nodes += [
                helper.make_node("QuantizeLinear", [source, *quantization], [f"{base}_8"], f"{base}_quantize"),
                helper.make_node("DequantizeLinear", [f"{base}_8", *quantization], [f"{base}_f"], f"{base}_dequantize"),
            ]
            quantized_inputs[key] = f"{base}_f"
        scale = np.maximum(np.abs(weight).max(0), 1e-8).astype(np.float32) / np.float32(WEIGHT_LEVELS)
        int8_weight = np.clip(np.rint(weight / scale), -WEIGHT_LEVELS, WEIGHT_LEVELS).astype(np.int8)
        base = f"{node.name}_weight"
        graph.initializer.append(numpy_helper.from_array(int8_weight, f"{base}_8"))
        graph.initializer.append(numpy_helper.from_array(scale, f"{base}_scale"))
        graph.initializer.append(numpy_helper.from_array(np.zeros(len(scale), np.int8), f"{base}_zero"))
        quantization = [f"{base}_8", f"{base}_scale", f"{base}_zero"]
        new_nodes.append(
            helper.make_node("DequantizeLinear", quantization, [f"{base}_f"], f"{base}_dequantize", axis=1)
        )
        position = list(graph.node).index(node)
        for step_node in reversed(new_nodes):
            graph.node.insert(position, step_node)
        node.input[0], node.input[1] = quantized_inputs[key], f"{base}_f"
        count += 1
    used_names = {name for node in graph.node for name in node.input}
    for tensor in [tensor for tensor in graph.initializer if tensor.name not in used_names]:
        graph.initializer.remove(tensor)
    return count
