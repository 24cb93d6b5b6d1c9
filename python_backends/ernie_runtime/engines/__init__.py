"""The registry of engines: what the Python side can run an encoder with, by the name of their Triton backend.

A further engine is a module here with a `load` function, and its entry in ENGINES; docs/adding.md lists the rest.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import EngineError

if TYPE_CHECKING:
    import numpy as np

Tensors = Mapping[str, "np.ndarray"]
"""By tensor name."""
Engine = Callable[[Tensors], Tensors]
"""Takes input_ids and token_type_ids, int64 [B, L]; returns the encoder's outputs by name, float32 [B, ...]."""
THREADS = "intra_op_thread_count"  # parameter of an encoder's model, named as the C++ onnxruntime backend does; 0: all
OUTPUTS = "OUTPUTS"  # setting: names of the outputs in the order of the graph, joined by commas


@dataclass(frozen=True, kw_only=True)
class EngineSpec:
    """One engine."""

    backend: str
    """Name of its Triton backend, which manifests and configurations call the engine by."""
    short_name: str
    """What a variant's name has where its precision runs in several engines, such as `int8-ort`."""
    title: str
    """For messages."""
    module: str
    """In this package, with `load(path, settings, threads, device) -> Engine`."""
    package: str
    """The Python package that the module imports."""
    files: tuple[str, ...]
    """In the encoder's version directory: what is loaded, then the weights beside it where the format has two files."""
    precisions: tuple[str, ...]
    """What it can compute in."""
    default_for: tuple[str, ...] = ()
    """Precisions that run in it where a variant's name says nothing else."""
    settings: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """By precision, the parameters of the model's configuration that it takes."""
    concurrent: bool = False
    """Whether one loaded encoder may be called from several threads at once."""
    needs_output_names: bool = False
    """Whether its graphs have outputs without our names; the setting OUTPUTS gives them."""

    @property
    def file(self) -> str:
        """What is loaded."""
        return self.files[0]

    @property
    def reads_onnx(self) -> bool:
        """Whether the encoder is an ONNX graph, which other tools read too."""
        return self.file.endswith(".onnx")


ENGINES: Mapping[str, EngineSpec] = {
    spec.backend: spec
    for spec in (
        EngineSpec(
            backend="onnxruntime",
            short_name="ort",
            title="ONNX Runtime",
            module="ort",
            package="onnxruntime",
            files=("model.onnx",),
            precisions=("fp32", "fp16", "int8", "qat8", "dynamic8"),
            default_for=("fp32", "fp16", "dynamic8"),
            concurrent=True,
        ),
        EngineSpec(
            backend="openvino",
            short_name="ov",
            title="OpenVINO",
            module="ov",
            package="openvino",
            files=("model.xml", "model.bin"),
            precisions=("fp32", "bf16", "int8", "qat8"),
            default_for=("bf16", "int8", "qat8"),
            settings={"bf16": {"HINT_BF16": "YES"}},
        ),
        EngineSpec(
            backend="paddle",
            short_name="paddle",
            title="Paddle Inference",
            module="paddle_inference",
            package="paddle",
            files=("model.json", "model.pdiparams"),
            precisions=("fp32",),
            needs_output_names=True,
        ),
    )
}
"""By backend."""


def engine_spec(backend: str) -> EngineSpec:
    """The engine of a Triton backend; EngineError where there is none."""
    if backend not in ENGINES:
        raise EngineError(f"no engine {backend!r} here; there are {', '.join(ENGINES)}")
    return ENGINES[backend]


def engines_for(precision: str) -> list[EngineSpec]:
    """The engines that can run a precision, the default one first."""
    specs = [spec for spec in ENGINES.values() if precision in spec.precisions]
    return sorted(specs, key=lambda spec: precision not in spec.default_for)


def import_engine(backend: str) -> Any:
    """The engine's module; EngineError for a name that none has."""
    return importlib.import_module(f"{__name__}.{engine_spec(backend).module}")


def load_engine(
    backend: str, path: str | Path, settings: Mapping[str, str] | None = None, threads: int = 0, device: str = "cpu"
) -> Engine:
    """The encoder in `path`, ready to run; an engine's library is imported when it is used.

    settings: parameters of the model's config.pbtxt; those of other engines and of the batching are ignored. threads:
    0 for the cores that this process may use. device: cpu or gpu. EngineError where it cannot be loaded.
    """
    engine: Engine = import_engine(backend).load(Path(path), settings or {}, threads, device)
    return engine


def load_single(
    backend: str, path: str | Path, settings: Mapping[str, str] | None = None, device: str = "cpu"
) -> Engine | None:
    """The encoder on one thread, for several calls at once; None on a GPU. EngineError where the engine cannot."""
    if device != "cpu":
        return None
    if not engine_spec(backend).concurrent:
        raise EngineError(f"{path}: parameter calls is above 1, but {backend} runs one call at a time; leave it out")
    return load_engine(backend, path, settings, threads=1)
