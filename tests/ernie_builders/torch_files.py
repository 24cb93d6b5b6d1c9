"""Weight files as torch writes them, without torch."""

from __future__ import annotations

import json
import pickle
import struct
import sys
import types
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from .tiny import Weights


class Storage:
    """What torch pickles by a persistent id."""

    def __init__(self, kind: type, key: str, size: int) -> None:
        self.id = ("storage", kind, key, "cpu", size)


def write_torch(
    path: Path, tensors: dict[str, np.ndarray], monkeypatch: pytest.MonkeyPatch, storage: str = "FloatStorage"
) -> None:
    """torch.save's zip file without torch: stand-ins for the classes that its pickle names.

    Every second matrix is a transposed view, all vectors lie in one storage, and the pooler is a Parameter.
    """
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    kind = type(storage, (), {"__module__": "torch"})

    def _rebuild_tensor_v2(*arguments: Any) -> None:
        raise AssertionError("only pickled by name")

    def _rebuild_parameter(*arguments: Any) -> None:
        raise AssertionError("only pickled by name")

    for function in (_rebuild_tensor_v2, _rebuild_parameter):
        function.__module__, function.__qualname__ = "torch._utils", function.__name__
        setattr(utils, function.__name__, function)
    setattr(torch, storage, kind)
    monkeypatch.setitem(sys.modules, "torch", torch)
    monkeypatch.setitem(sys.modules, "torch._utils", utils)

    class Call:
        def __init__(self, function: Callable[..., None], *arguments: Any) -> None:
            self.call = (function, arguments)

        def __reduce__(self) -> tuple[Callable[..., None], tuple[Any, ...]]:
            return self.call

    class Pickler(pickle.Pickler):
        def persistent_id(self, item: Any) -> Any:
            return item.id if isinstance(item, Storage) else None

    state: OrderedDict[str, Any] = OrderedDict()
    shared = np.concatenate([v for v in tensors.values() if v.ndim == 1])
    contents, offset = {"0": shared.tobytes()}, 0
    for number, (name, value) in enumerate(tensors.items(), 1):
        if value.ndim == 1:
            place: tuple[Any, ...] = (Storage(kind, "0", shared.size), offset, value.shape, (1,))
            offset += value.size
        else:
            turned = number % 2 == 0
            contents[str(number)] = (value.T if turned else value).tobytes()
            strides = (1, value.shape[0]) if turned else (value.shape[1], 1)
            place = (Storage(kind, str(number), value.size), 0, value.shape, strides)
        tensor = Call(_rebuild_tensor_v2, *place, False, OrderedDict())
        state[name] = Call(_rebuild_parameter, tensor, True, OrderedDict()) if "pooler" in name else tensor
    with zipfile.ZipFile(path, "w") as archive:
        with archive.open("archive/data.pkl", "w") as file:
            Pickler(file, 2).dump(state)
        archive.writestr("archive/version", "3\n")
        for key, content in contents.items():
            archive.writestr(f"archive/data/{key}", content)
    for name in ("torch", "torch._utils"):
        monkeypatch.delitem(sys.modules, name)


def bfloat16_bits(value: np.ndarray) -> np.ndarray:
    """The upper half of each float32."""
    return (np.ascontiguousarray(value).view(np.uint32) >> 16).astype(np.uint16)


def write_bfloat16_safetensors(path: Path, weights: Weights) -> None:
    """A safetensors file as torch writes it; safetensors' numpy side cannot."""
    header, body = {}, b""
    for name, value in weights.items():
        bits = bfloat16_bits(value).tobytes()
        header[name] = {
            "dtype": "BF16",
            "shape": list(value.shape),
            "data_offsets": [len(body), len(body) + len(bits)],
        }
        body += bits
    text = json.dumps(header).encode()
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)
