"""What a ModelInfer request may hold. Whatever is not listed here does not reach Triton.

Triton 2.51 ends with signal 8 on an output of texts with the parameter `classification`, and the parameters
`shared_memory_*` name memory of its machine: inputs and outputs may have no parameters at all.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from ..bodies import too_large
from ..problems import Problem
from ..settings import Settings
from .upstream import LONGEST_NAME

PARAMETERS = ("offsets", "priority", "timeout")
TENSORS = 16
CONTENTS = ("bool", "int", "int64", "uint", "uint64", "fp32", "fp64")
_VERSION = re.compile(r"[1-9][0-9]{0,17}|")


def check(request: Any, settings: Settings) -> int:
    """The number of items of a ModelInferRequest; Problem where it may not pass."""
    if len(request.id) > LONGEST_NAME:
        raise _wrong(f"the id has more than {LONGEST_NAME} characters")
    check_version(request.model_version)
    for name in request.parameters:
        if name not in PARAMETERS:
            raise _wrong(f"the parameter {name[:80]!r} does not pass; {', '.join(PARAMETERS)} do")
    if not 0 < len(request.inputs) <= TENSORS or len(request.outputs) > TENSORS:
        raise _wrong(
            f"{len(request.inputs)} inputs and {len(request.outputs)} outputs; there may be 1 to {TENSORS} inputs"
        )
    for tensor in (*request.inputs, *request.outputs):
        if len(tensor.name) > LONGEST_NAME:
            raise _wrong(f"a tensor's name has more than {LONGEST_NAME} characters")
        if tensor.parameters:
            raise _wrong(f"{tensor.name!r} has parameters; classification and shared memory do not pass")
    for tensors in (request.inputs, request.outputs):
        if len({tensor.name for tensor in tensors}) < len(tensors):
            raise _wrong("a tensor is there twice")
    items = _items(request.inputs)
    if items > settings.max_items:
        raise too_large(f"{items:,} items in a request", settings, items=True)
    _check_contents(request, items)
    return items


def check_version(version: str) -> None:
    """Problem where a model's version is no number."""
    if not _VERSION.fullmatch(version):
        raise _wrong(f"the version {version[:40]!r} is no number of a version")


def _items(inputs: Sequence[Any]) -> int:
    """Rows of the inputs, which all are BYTES [rows, 1]."""
    rows = set()
    for tensor in inputs:
        if tensor.datatype != "BYTES":
            raise _wrong(f"{tensor.name!r} is {tensor.datatype[:20] or 'without a datatype'}; tasks take texts, BYTES")
        if len(tensor.shape) != 2 or tensor.shape[0] < 1 or tensor.shape[1] != 1:
            raise _wrong(f"{tensor.name!r} has the shape {list(tensor.shape)[:8]}; it must be [items, 1]")
        rows.add(int(tensor.shape[0]))
    if len(rows) > 1:
        raise _wrong(f"the inputs have different numbers of items: {', '.join(map(str, sorted(rows)))}")
    return rows.pop()


def _check_contents(request: Any, items: int) -> None:
    """Problem where the texts are not as many, or not as long, as is said."""
    raw = request.raw_input_contents
    if raw and len(raw) != len(request.inputs):
        raise _wrong(f"{len(raw)} raw contents for {len(request.inputs)} inputs")
    for index, tensor in enumerate(request.inputs):
        if raw and tensor.HasField("contents"):
            raise _wrong(f"{tensor.name!r} has both contents and raw contents")
        if any(getattr(tensor.contents, f"{kind}_contents") for kind in CONTENTS):
            raise _wrong(f"{tensor.name!r} has contents that are no bytes")
        count = _elements(raw[index]) if raw else len(tensor.contents.bytes_contents)
        if count != items:
            shown = "contents whose lengths are wrong" if count is None else f"{count:,} texts"
            raise _wrong(f"{tensor.name!r} has {shown}; its shape says {items:,}")


def _elements(raw: bytes) -> int | None:
    """How many texts there are, each after its length (4 bytes, little endian); None where they do not add up."""
    position, count = 0, 0
    while position + 4 <= len(raw):
        position += 4 + int.from_bytes(raw[position : position + 4], "little")
        count += 1
    return count if position == len(raw) else None


def _wrong(what: str) -> Problem:
    return Problem(400, "wrong_request", what)
