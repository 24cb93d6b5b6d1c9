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
JSON = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))  # json.dumps would create one for each call


class Step(Protocol):
    """One model of a served task."""

    inputs: tuple[str, ...]
    """Names of the tensors in a request; `backend.execute` adds OFFSETS_PARAMETER, BYTES [], where a request has it."""

    def run(self, requests: Sequence[Arrays]) -> list[dict[str, np.ndarray] | InvalidItem]:
        """The outputs of each request, in order, or the InvalidItem that fails it."""


def strings(values: Sequence[bytes]) -> np.ndarray:
    """BYTES [N, 1] for Triton: an object array, since fixed-width numpy strings are hundreds of times slower there."""
    array = np.empty((len(values), 1), dtype=object)
    array[:, 0] = values
    return array


def dumps(value: Any) -> bytes:
    """Compact UTF-8 JSON."""
    return JSON.encode(value).encode()
