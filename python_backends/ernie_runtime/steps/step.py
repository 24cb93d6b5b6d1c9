"""What the steps of a served task have in common: a step takes the inputs of many requests at once.

It gives each request its outputs, or the InvalidItem that fails it. `ernie_runtime.triton.backend` puts steps behind
Triton's Python backend; tests call them directly. `ernie_runtime.names` has the names of the tensors.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import numpy as np

from ..errors import InvalidItem

Arrays = Mapping[str, np.ndarray]
JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # json.dumps would make one each time


class Step(Protocol):
    """One model of the pipeline."""

    inputs: tuple[str, ...]

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """Outputs a request, in order."""


def strings(values: Sequence[bytes]) -> np.ndarray:
    """BYTES [N, 1] for Triton: an object array (fixed-width numpy strings are hundreds of times slower there)."""
    out = np.empty((len(values), 1), dtype=object)
    out[:, 0] = values
    return out


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return JSON.encode(value).encode()
