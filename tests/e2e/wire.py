"""Requests by plain tritonclient, as any user may send them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import tritonclient.grpc as grpc


def text_input(values: Sequence[bytes | str], name: str = "TEXT") -> grpc.InferInput:
    """BYTES [N, 1]."""
    tensor = grpc.InferInput(name, [len(values), 1], "BYTES")
    tensor.set_data_from_numpy(np.array([[v.encode() if isinstance(v, str) else v] for v in values], dtype=object))
    return tensor


def results(reply: Any) -> list[dict[str, Any]]:
    """The RESULT objects of a reply."""
    return [json.loads(raw) for raw in reply.as_numpy("RESULT").reshape(-1)]


def close(left: Any, right: Any) -> bool:
    """Equal answers; scores may differ by float rounding (batches of another shape)."""
    if isinstance(left, float) and isinstance(right, float):
        return abs(left - right) < 1e-4
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(close(left[k], right[k]) for k in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(close(a, b) for a, b in zip(left, right, strict=True))
    return bool(left == right)


def same_bytes(left: Any, right: Any) -> bool:
    """Whether two replies have the same outputs, each of the same shape, dtype and bytes."""
    outputs = [sorted(tensor.name for tensor in reply.get_response().outputs) for reply in (left, right)]
    if outputs[0] != outputs[1]:
        return False
    pairs = [(left.as_numpy(name), right.as_numpy(name)) for name in outputs[0]]
    return all(
        a.shape == b.shape and a.dtype == b.dtype and a.reshape(-1).tolist() == b.reshape(-1).tolist() for a, b in pairs
    )
