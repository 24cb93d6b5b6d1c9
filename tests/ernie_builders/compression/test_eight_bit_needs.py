"""What 8-bit variants need and may lack: calibration text, and the Python packages of their engines."""

from __future__ import annotations

import sys
from dataclasses import replace

import pytest

from ernie_builders.compression.calibration import calibration_feeds
from ernie_builders.compression.openvino_ir import import_nncf
from ernie_builders.errors import BuildError, DataError
from ernie_builders.readers import Example
from ernie_runtime.engines import load_engine
from ernie_runtime.errors import EngineError
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..tiny import manifest_with


def test_calibration_text(embedded_tokenizer: ErnieTokenizer) -> None:
    """Training text, else the task's examples; without either, one line says what to give."""
    manifest = replace(manifest_with(3), examples=(("今天天气很好",),))
    feeds = calibration_feeds(manifest, embedded_tokenizer, [Example(("北京",), 0, 1), Example(("上海人",), 0, 2)], 0)
    assert sorted(feed["input_ids"].shape for feed in feeds) == [(1, 4), (1, 5)]
    assert [feed["input_ids"].shape for feed in calibration_feeds(manifest, embedded_tokenizer, [], 0)] == [(1, 8)]
    with pytest.raises(DataError, match="no text to calibrate 8-bit variants on; give --data-dir, or `examples`"):
        calibration_feeds(replace(manifest, examples=()), embedded_tokenizer, [], 0)


@pytest.mark.parametrize(("engine", "package", "file"), [("openvino", "openvino", "m.xml"), ("paddle", "paddle", "m")])
def test_an_engine_that_is_not_installed(monkeypatch: pytest.MonkeyPatch, engine: str, package: str, file: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)  # as if it were not there
    with pytest.raises(EngineError, match=rf"{file}: needs the Python package {package}"):
        load_engine(engine, file, {"OUTPUTS": "logits"})


def test_a_quantiser_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "nncf", None)
    with pytest.raises(BuildError, match="8-bit OpenVINO variants need the Python packages nncf and openvino"):
        import_nncf()
