"""An encoder's ONNX graph that takes requests of different lengths in one batch, and cuts it into micro-batches itself.

Triton's dynamic batcher merges requests of unequal shape if the model takes them flat (`allow_ragged_batch`) with the
shape of each row beside them (`batch_input`). The graph made here unpacks such a batch, drops the padding of the
requests, and runs the encoder in a Loop over micro-batches of at most MICRO_ROWS rows of like length. So neither
padding nor memory grow with the batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from onnx import GraphProto, ModelProto, NodeProto, TensorProto

LENGTHS = "LENGTHS"  # input, INT32 [rows, 1]: the length of each row as its request padded it
MICRO_ROWS = 8
SPREAD = 1.2  # longest over shortest row of a micro-batch, CALL_TOKENS added to both
CALL_TOKENS = 16  # what a micro-batch costs besides its tokens, in tokens: see ernie_runtime/steps/batching.py
PREFIX = "packed_"  # of the tensors that are added


def packed(model: ModelProto) -> ModelProto:
    """The graph with flat inputs (INT64 [tokens]) and LENGTHS; its outputs are those of `model`, padded with zeros.

    model: inputs INT64 [rows, tokens], padded with id 0; outputs [rows, ...] or [rows, tokens, ...]. Left unchanged.
    """
    from onnx import TensorProto, checker, helper

    source = model.graph
    ids, outputs = [value.name for value in source.input], list(source.output)
    build = _Nodes()
    build.constants(zero=0, one=1, first_axis=[0], second_axis=[1], micro=MICRO_ROWS, one_on=[1], end=[1 << 30])
    build.constants(everything=[-1], yes=np.array(True))
    build.constants(call=np.array(CALL_TOKENS, np.float32), spread=np.array(np.log(SPREAD), np.float32))
    # Rows, padded to the longest of the batch: [rows, longest].
    build.add("Cast", [LENGTHS], "lengths", to=TensorProto.INT64)
    build.add("CumSum", ["lengths", "zero"], "starts", exclusive=1)
    build.add("ReduceMax", ["lengths"], "longest", keepdims=0)
    build.add("Range", ["zero", "longest", "one"], "positions")
    build.add("Less", ["positions", "lengths"], "inside")
    build.add("Add", ["starts", "positions"], "at")
    build.add("Where", ["inside", "at", "zero"], "at_inside")
    for name in ids:
        build.add("Gather", [name, "at_inside"], f"{name}_taken")
        build.add("Where", ["inside", f"{name}_taken", "zero"], f"{name}_rows")
    # Real lengths: up to the last id that is not padding. Rows in their order, shortest first.
    build.add("Cast", [f"{ids[0]}_rows"], "not_padding", to=TensorProto.BOOL)
    build.add("Add", ["positions", "one"], "ends")
    build.add("Where", ["not_padding", "ends", "one"], "ends_of_tokens")
    build.add("ReduceMax", ["ends_of_tokens"], "real", axes=[1], keepdims=0)
    build.add("Shape", ["real"], "rows")
    build.add("TopK", ["real", "rows"], "real_sorted", "order", axis=0, largest=0)
    build.add("TopK", ["order", "rows"], "order_sorted", "back", axis=0, largest=0)
    # Classes of like length. A micro-batch begins at each MICRO_ROWS rows of a class, and ends before the next begins.
    build.add("Cast", ["real_sorted"], "real_float", to=TensorProto.FLOAT)
    build.add("Add", ["real_float", "call"], "cost")
    build.add("Log", ["cost"], "cost_log")
    build.add("Div", ["cost_log", "spread"], "class_fraction")
    build.add("Floor", ["class_fraction"], "class")
    build.add("Unsqueeze", ["class", "second_axis"], "class_column")
    build.add("Less", ["class", "class_column"], "is_of_shorter")  # [row, other row]
    build.add("Cast", ["is_of_shorter"], "of_shorter", to=TensorProto.INT64)
    build.add("ReduceSum", ["of_shorter", "second_axis"], "rows_of_shorter", keepdims=0)
    build.add("Squeeze", ["rows", "first_axis"], "row_count")
    build.add("Range", ["zero", "row_count", "one"], "row_numbers")
    build.add("Sub", ["row_numbers", "rows_of_shorter"], "number_in_class")
    build.add("Mod", ["number_in_class", "micro"], "number_in_batch")
    build.add("Equal", ["number_in_batch", "zero"], "begins")
    build.add("NonZero", ["begins"], "begins_at")
    build.add("Squeeze", ["begins_at", "first_axis"], "batch_begins")
    build.add("Slice", ["batch_begins", "one_on", "end", "first_axis"], "next_begins")
    build.add("Concat", ["next_begins", "rows"], "batch_ends", axis=0)
    build.add("Shape", ["batch_begins"], "batch_count")
    build.add("Squeeze", ["batch_count", "first_axis"], "trips")
    # Where each row is among the outputs of the loop, MICRO_ROWS a micro-batch; then in the order of the requests.
    build.add("Cast", ["begins"], "begins_whole", to=TensorProto.INT64)
    build.add("CumSum", ["begins_whole", "zero"], "batches_so_far")
    build.add("Sub", ["batches_so_far", "one"], "batch")
    build.add("Mul", ["batch", "micro"], "batch_first_output")
    build.add("Add", ["batch_first_output", "number_in_batch"], "output_of_sorted")
    build.add("Gather", ["output_of_sorted", "back"], "output_of_row")
    loop = build.add("Loop", ["trips", "yes"], *(f"{value.name}_batches" for value in outputs))
    loop.attribute.append(helper.make_attribute("body", _body(source, ids)))
    for value in outputs:  # [trips, MICRO_ROWS, ...] to [rows, ...]
        build.add("Shape", [f"{value.name}_batches"], f"{value.name}_rest", start=2)
        build.add("Concat", ["everything", f"{value.name}_rest"], f"{value.name}_shape", axis=0)
        build.add("Reshape", [f"{value.name}_batches", f"{value.name}_shape"], f"{value.name}_sorted")
        build.add("Gather", [f"{value.name}_sorted", "output_of_row"], value.name, keep=True)
    inputs = [helper.make_tensor_value_info(name, TensorProto.INT64, ["tokens"]) for name in ids]
    inputs.append(helper.make_tensor_value_info(LENGTHS, TensorProto.INT32, ["rows", 1]))
    graph = helper.make_graph(build.nodes, "packed", inputs, outputs, build.initializers)
    result = helper.make_model(graph, opset_imports=model.opset_import, ir_version=model.ir_version)
    checker.check_model(result)
    return result


def _body(source: GraphProto, ids: Sequence[str]) -> GraphProto:
    """The encoder on micro-batch `trip`; its outputs are padded to MICRO_ROWS and to the longest row of the batch."""
    from onnx import TensorProto, helper

    build = _Nodes(inner="body_")
    build.constants(micro_rows=[MICRO_ROWS], first_axis=[0], second_axis=[1], zeros=[0])
    build.add("Unsqueeze", ["trip", "first_axis"], "trip_number")
    build.add("Gather", [f"{PREFIX}batch_begins", "trip_number"], "begin")
    build.add("Gather", [f"{PREFIX}batch_ends", "trip_number"], "end")
    build.add("Slice", [f"{PREFIX}order", "begin", "end", "first_axis"], "own")
    build.add("Slice", [f"{PREFIX}real_sorted", "begin", "end", "first_axis"], "own_real")
    build.add("ReduceMax", ["own_real"], "own_longest")  # [1]
    for name in ids:
        build.add("Gather", [f"{PREFIX}{name}_rows", "own"], f"{name}_own")
        build.add("Slice", [f"{name}_own", "zeros", "own_longest", "second_axis"], f"{name}_cut")
    renamed = {name: build.name(f"{name}_cut") for name in ids}
    renamed |= {value.name: build.name(value.name) for value in source.output}
    for node in source.node:
        copy = type(node).FromString(node.SerializeToString())
        copy.input[:] = [renamed.get(name, name) for name in node.input]
        copy.output[:] = [renamed.get(name, name) for name in node.output]
        build.nodes.append(copy)
    build.add("Shape", ["own_real"], "own_rows")
    build.add("Sub", ["micro_rows", "own_rows"], "rows_missing")
    build.add("Unsqueeze", [f"{PREFIX}longest", "first_axis"], "longest")
    build.add("Sub", ["longest", "own_longest"], "tokens_missing")
    build.add("Identity", ["go_on_before"], "go_on")
    results = [helper.make_tensor_value_info(build.name("go_on"), TensorProto.BOOL, [])]
    for value in source.output:
        dims = value.type.tensor_type.shape.dim
        per_token = len(dims) > 1 and not dims[1].HasField("dim_value")
        ends = ["rows_missing", *(["tokens_missing"] if per_token else [])]
        build.constants(
            **{f"{value.name}_begins": [0] * len(dims), f"{value.name}_kept": [0] * (len(dims) - len(ends))}
        )
        build.add("Concat", [f"{value.name}_begins", *ends, f"{value.name}_kept"], f"{value.name}_pads", axis=0)
        build.add("Pad", [value.name, f"{value.name}_pads"], f"{value.name}_padded")
        name = build.name(f"{value.name}_padded")
        results.append(helper.make_tensor_value_info(name, value.type.tensor_type.elem_type, [None] * len(dims)))
    inputs = [
        helper.make_tensor_value_info(build.name("trip"), TensorProto.INT64, []),
        helper.make_tensor_value_info(build.name("go_on_before"), TensorProto.BOOL, []),
    ]
    return helper.make_graph(build.nodes, "micro_batch", inputs, results, [*source.initializer, *build.initializers])


class _Nodes:
    """Nodes and constants of a graph; names are prefixed, so that they are none of the encoder's.

    inner: a second prefix, for a graph within a graph, which sees the names of the outer one.
    """

    def __init__(self, inner: str = "") -> None:
        self.nodes: list[NodeProto] = []
        self.initializers: list[TensorProto] = []
        self._prefix = f"{PREFIX}{inner}"
        self._inputs = ("input_ids", "token_type_ids", LENGTHS)

    def name(self, name: str) -> str:
        """The prefixed name of a tensor."""
        return name if name in self._inputs or name.startswith(PREFIX) else f"{self._prefix}{name}"

    def constants(self, **values: object) -> None:
        """INT64 (or the dtype of an array), by name."""
        from onnx import numpy_helper

        for name, value in values.items():
            array = value if isinstance(value, np.ndarray) else np.array(value, np.int64)
            self.initializers.append(numpy_helper.from_array(array, self.name(name)))

    def add(
        self, kind: str, inputs: Sequence[str], *outputs: str, keep: bool = False, **attributes: object
    ) -> NodeProto:
        """Append a node; keep: its outputs keep their names."""
        from onnx import helper

        made = list(outputs) if keep else [self.name(name) for name in outputs]
        node = helper.make_node(kind, [self.name(name) for name in inputs], made, f"{made[0]}_node", **attributes)
        self.nodes.append(node)
        return node
