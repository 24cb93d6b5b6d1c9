"""Formats the lines of the files of answers and of bad lines: JSON objects in UTF-8."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Container
from typing import TYPE_CHECKING, Any

from ernie_runtime.json_types import Json

from ..replies import Reply
from .records import Record

if TYPE_CHECKING:
    import numpy as np


def answer_line(record: Record, reply: Reply) -> bytes:
    """`{"line": n, ...carried keys, "result": RESULT, ...numeric outputs}` and a line end."""
    numbers = {name: plain(values) for name, values in reply.numeric.items()}
    reserved = {"line", "result", *numbers}
    carried = {free_key(key, reserved, record.carried): value for key, value in record.carried.items()}
    return _json_line({"line": record.line.number, **carried, "result": reply.raw, **numbers})


def bad_line(record: Record, reason: str) -> bytes:
    """`{"line": n, "reason": why, "raw": the line}` and a line end; `raw_base64` for a line that is not UTF-8."""
    raw = record.line.raw
    try:
        content = {"raw": raw.decode("utf-8")}
    except UnicodeDecodeError:
        content = {"raw_base64": base64.b64encode(raw).decode("ascii")}
    return _json_line({"line": record.line.number, "reason": reason, **content})


def plain(values: np.ndarray) -> Any:
    """JSON numbers: a scalar for an array of one element, else lists; 9 digits tell any two float32 apart."""
    return _plain(values.reshape(-1)[0].item() if values.size == 1 else values.tolist())


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(element) for element in value]
    if isinstance(value, float):
        return float(f"{value:.9g}") if math.isfinite(value) else None
    return value


def free_key(key: str, reserved: Container[str], carried: Container[str]) -> str:
    """The key, or one such as `input_line` where it is reserved: the input may be the output of an earlier run."""
    if key not in reserved:
        return key
    while key in reserved or key in carried:
        key = f"input_{key}"
    return key


def _json_line(value: Json) -> bytes:
    try:
        return (json.dumps(value, ensure_ascii=False) + "\n").encode("utf-8")
    except UnicodeEncodeError:  # a lone surrogate in a carried key; escaped, it is still JSON
        return (json.dumps(value) + "\n").encode("ascii")
