"""The registry of engines: what its entries promise, the modules and the builders keep."""

from __future__ import annotations

from pathlib import Path

import pytest

import ernie_runtime
from ernie_builders.stages.variants import convert
from ernie_runtime.engines import ENGINES, engine_spec, engines_for
from ernie_runtime.errors import EngineError

PYTHON_BACKENDS = Path(ernie_runtime.__file__).parents[1]


@pytest.mark.parametrize("spec", ENGINES.values(), ids=lambda spec: spec.backend)
def test_an_engine_has_all_its_parts(spec: ernie_runtime.engines.EngineSpec) -> None:
    module = PYTHON_BACKENDS / "ernie_runtime/engines" / f"{spec.module}.py"
    assert "def load(path: Path, settings: Mapping[str, str], threads: int, device: str)" in module.read_text("utf-8")
    adapter = (PYTHON_BACKENDS / spec.backend / "model.py").read_text("utf-8")
    assert f'encoder_step(args, "{spec.backend}", self.counters)' in adapter
    assert spec.backend in convert.WRITERS
    assert set(spec.default_for) | set(spec.settings) <= set(spec.precisions)


def test_a_precision_runs_by_default_in_one_engine() -> None:
    assert [spec.short_name for spec in engines_for("fp32")] == ["ort", "ov", "paddle"]
    assert [spec.short_name for spec in engines_for("int8")] == ["ov", "ort"]
    assert [spec.short_name for spec in engines_for("bf16")] == ["ov"]
    defaults = [precision for spec in ENGINES.values() for precision in spec.default_for]
    assert sorted(defaults) == sorted({p for spec in ENGINES.values() for p in spec.precisions})


def test_short_names_are_of_one_engine_each() -> None:
    assert len({spec.short_name for spec in ENGINES.values()}) == len(ENGINES)


def test_an_engine_that_there_is_not() -> None:
    with pytest.raises(EngineError, match="no engine 'tflite' here; there are onnxruntime, openvino, paddle"):
        engine_spec("tflite")
