"""Engines that the Python side can run an encoder with, by the name of their Triton backend."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import EngineError

Tensors = Mapping[str, np.ndarray]
"""By tensor name."""
Engine = Callable[[Tensors], Tensors]
"""Takes input_ids and token_type_ids, int64 [B, L]; returns the encoder's outputs by name, float32 [B, ...]."""
MODULES = {"onnxruntime": "ort", "openvino": "ov", "paddle": "paddle_inference"}
CONCURRENT = ("onnxruntime",)  # engines that may be called from several threads at once
OUTPUTS = "OUTPUTS"  # setting: names of the outputs in the order of the graph, joined by commas


def import_engine(name: str) -> Any:
    """The engine's module, which imports its library; EngineError for a name that none has."""
    if name not in MODULES:
        raise EngineError(f"no engine {name!r} here; there are {', '.join(MODULES)}")
    return importlib.import_module(f"{__name__}.{MODULES[name]}")


def load_engine(
    name: str, path: str | Path, settings: Mapping[str, str] | None = None, threads: int = 0, device: str = "cpu"
) -> Engine:
    """The encoder in `path`, ready to run; an engine's library is imported when it is used.

    name: a Triton backend. settings: its parameters, those of config.pbtxt; unknown ones are another engine's or the
    batching's. threads: 0 for the cores this process may use. EngineError where it cannot be loaded.
    """
    module, settings = import_engine(name), settings or {}
    if name == "openvino":
        engine: Engine = module.OpenVinoEngine(path, threads, settings.get("HINT_BF16", "NO").upper() == "YES")
    elif name == "paddle":
        engine = module.PaddleInferenceEngine(path, settings[OUTPUTS].split(","), threads, device)
    else:
        engine = module.OrtEngine(path, threads, device)
    return engine


def load_single(
    name: str, path: str | Path, settings: Mapping[str, str] | None = None, device: str = "cpu"
) -> Engine | None:
    """The encoder on one thread, for several calls at once; None on a GPU. EngineError where the engine cannot."""
    if device != "cpu":
        return None
    if name not in CONCURRENT:
        raise EngineError(f"{path}: parameter calls is above 1, but {name} runs one call at a time; leave it out")
    return load_engine(name, path, settings, threads=1)
