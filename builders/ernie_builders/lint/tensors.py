"""Rules on tensors: names, dtypes and shapes of one side against those that the other side asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from tritonclient.grpc import model_config_pb2 as pb

from .model import Finding

AUTO_NAME = re.compile(
    r"^(p2o\.|save_infer_model|fetch_name_|feed_name_|onnx::|_generated_var|x\d+$|\d+$)|\.tmp(_\d+)?$"
    r"|^(input|output|tensor|var|args?|identity|linear|matmul|add|softmax|reshape)[_.:]{0,2}\d+$",
    re.IGNORECASE,
)
"""Names that a framework makes up."""
Side = Literal["input", "output"]
Shape = tuple[int, ...]
"""With the batch dimension, if there is one; -1 where it varies."""


class Tensor(NamedTuple):
    """What is known of a tensor."""

    dtype: str  # Triton's name without TYPE_: INT64, STRING
    shape: Shape


Tensors = Mapping[tuple[Side, str], Tensor]
"""By side and name."""


def config_tensors(config: pb.ModelConfig) -> dict[tuple[Side, str], Tensor]:
    """The inputs and outputs of a configuration."""
    batch = (-1,) if config.max_batch_size > 0 else ()
    tensors: dict[tuple[Side, str], Tensor] = {}
    for spec in config.input:
        tensors["input", spec.name] = Tensor(dtype_name(spec.data_type), (*batch, *spec.dims))
    for output in config.output:
        tensors["output", output.name] = Tensor(dtype_name(output.data_type), (*batch, *output.dims))
    return tensors


def dtype_name(number: int) -> str:
    """INT64 for pb.TYPE_INT64."""
    return pb.DataType.Name(number).removeprefix("TYPE_")


def shapes_agree(left: Sequence[int], right: Sequence[int]) -> bool:
    """Whether two shapes have the same rank, and each dimension is equal or -1 on one side."""
    return len(left) == len(right) and all(a == b or -1 in (a, b) for a, b in zip(left, right, strict=True))


def dims_text(shape: Shape) -> str:
    """A shape as config.pbtxt writes it, without the batch dimension."""
    return str(list(shape[1:])) if shape[:1] == (-1,) else f"{list(shape)} (no batch dimension)"


def name_rules(file: str, tensors: Tensors, fix: str) -> Iterator[Finding]:
    """No name is one that a framework made up."""
    for side, name in tensors:
        if AUTO_NAME.search(name):
            yield Finding(file, f"{side} {name} is a framework's auto-name", f"name it at export, then {fix}")


def contract_rules(file: str, tensors: Tensors, wanted: Tensors, by: str, fix: str) -> Iterator[Finding]:
    """`tensors` have the names and dtypes of `wanted`, and the same shapes or more general ones.

    by: who wants them, for the message.
    """
    for side, name in wanted.keys() - tensors.keys():
        yield Finding(file, f"{side} {name} is missing, {by} asks for it", fix)
    for (side, name), tensor in tensors.items():
        want = wanted.get((side, name))
        if want is None:
            if not AUTO_NAME.search(name):
                yield Finding(file, f"{side} {name} is not what {by} asks for", fix)
            continue
        if tensor.dtype != want.dtype:
            yield Finding(file, f"{side} {name} is {tensor.dtype}, {by} asks for {want.dtype}", fix)
        if len(tensor.shape) != len(want.shape) or any(
            size not in (wanted_size, -1) for size, wanted_size in zip(tensor.shape, want.shape, strict=True)
        ):
            problem = f"{side} {name} has dims {dims_text(tensor.shape)}, {by} asks for {dims_text(want.shape)}"
            yield Finding(file, problem, fix)
