"""Engines that the Python side can run an encoder with, by the name of their Triton backend."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ..batching import Engine
from ..errors import EngineError

ENGINES = ("onnxruntime", "openvino", "paddle")
OUTPUTS = "OUTPUTS"  # setting: names of the outputs in the order of the graph, joined by commas


def load_engine(
    name: str, path: str | Path, settings: Mapping[str, str] | None = None, threads: int = 0, device: str = "cpu"
) -> Engine:
    """The encoder in `path`, ready to run; each module imports its engine when it is used.

    name: a Triton backend. settings: its parameters, those of config.pbtxt; unknown ones are another engine's or the
    batching's. threads: 0 for the cores this process may use. EngineError where it cannot be loaded.
    """
    settings = settings or {}
    if name == "onnxruntime":
        from .ort import OrtEngine

        return OrtEngine(path, threads, device)
    if name == "openvino":
        from .ov import OpenVinoEngine

        return OpenVinoEngine(path, threads, settings.get("HINT_BF16", "NO").upper() == "YES")
    if name == "paddle":
        from .paddle_inference import PaddleInferenceEngine

        return PaddleInferenceEngine(path, settings[OUTPUTS].split(","), threads, device)
    raise EngineError(f"{path}: no engine {name!r} here; there are {', '.join(ENGINES)}")
