"""Edits of an ONNX graph: tensor names of the contract, and removal of what paddle2onnx leaves behind."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import ModelProto, ValueInfoProto

TIDY_PASSES = (
    "extract_constant_to_initializer",
    "eliminate_identity",
    "eliminate_duplicate_initializer",
    "eliminate_deadend",
    "eliminate_unused_initializer",
)


def tidy(model: ModelProto) -> ModelProto:
    """The same function in a smaller file: constants as initializers, no identities, one word-embedding table.

    paddle2onnx writes Paddle's `padding_idx` as a product of the table with a mask of the same size; it is computed
    here, once.
    """
    import onnxoptimizer

    model = onnxoptimizer.optimize(model, list(TIDY_PASSES))
    fold_products(model)
    return model


def fold_products(model: ModelProto) -> None:
    """Replace every product of two initializers by its value, and drop initializers that are no longer used."""
    from onnx import numpy_helper

    graph = model.graph
    initializers = {tensor.name: tensor for tensor in graph.initializer}
    for node in [n for n in graph.node if n.op_type == "Mul" and all(name in initializers for name in n.input)]:
        left, right = (numpy_helper.to_array(initializers[name]) for name in node.input)
        graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(left * right), node.output[0]))
        graph.node.remove(node)
    used = {name for node in graph.node for name in node.input}
    for tensor in [t for t in graph.initializer if t.name not in used]:
        graph.initializer.remove(tensor)


def rename_tensors(model: ModelProto, names: Mapping[str, str]) -> None:
    """Rename tensors wherever they are produced or used; names: old -> new."""
    graph = model.graph
    for value in (*graph.input, *graph.output, *graph.value_info):
        value.name = names.get(value.name, value.name)
    for node in graph.node:
        node.input[:] = [names.get(name, name) for name in node.input]
        node.output[:] = [names.get(name, name) for name in node.output]


def name_dimensions(values: Sequence[ValueInfoProto], names: Sequence[str]) -> None:
    """Give the first dimensions of graph inputs or outputs symbolic names."""
    for value in values:
        for dim, name in zip(value.type.tensor_type.shape.dim, names, strict=False):
            dim.ClearField("dim_value")
            dim.dim_param = name
