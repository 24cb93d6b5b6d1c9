"""ONNX to OpenVINO IR: in float, with 8-bit weights, or quantized by NNCF after training."""

from __future__ import annotations

import contextlib
import io
import logging
import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ernie_runtime.engines.signal_stack import kept_signal_stack
from ernie_runtime.install import install_hint

from ..errors import BuildError
from .calibration import Feed

if TYPE_CHECKING:
    from openvino import Model

RANGES = {  # NNCF's estimators of activation ranges; "moving-average" is the mean of the texts' extremes
    "min-max": "MINMAX",
    "moving-average": "MEAN_MINMAX",
    "percentile": "MEAN_QUANTILE",
    "median": "MEDIAN_MINMAX",
}


def import_nncf() -> Any:
    """The nncf module, without its log lines and telemetry; BuildError if it is not installed."""
    os.environ.setdefault("NNCF_CI", "1")  # its own switch against telemetry
    try:
        import nncf
    except ImportError:
        raise BuildError(
            f"8-bit OpenVINO variants need the Python packages nncf and openvino: {install_hint('build')}"
        ) from None
    nncf.set_log_level(logging.ERROR)
    return nncf


@kept_signal_stack()
def read_model(onnx: Path) -> Model:
    """The graph as an OpenVINO model; tensors keep their names."""
    from openvino import Core

    return Core().read_model(str(onnx))


def save(model: Model, target: Path) -> None:
    """Write `target` (.xml) and its weights beside it (.bin); what is not quantized stays in FP32."""
    from openvino import save_model

    save_model(model, str(target), compress_to_fp16=False)


@kept_signal_stack()
def quantize(model: Model, feeds: Sequence[Feed], ranges: str = "moving-average", ignored: Iterable[str] = ()) -> Model:
    """Weights (one scale per channel) and activations in 8 bits, by NNCF: SmoothQuant, then bias correction.

    feeds: calibration windows. ignored: names of nodes that stay in float. The word embeddings are in 8 bits too.
    """
    nncf = import_nncf()
    estimator = getattr(nncf.quantization.range_estimator.RangeEstimatorParametersSet, RANGES[ranges])
    with contextlib.redirect_stdout(io.StringIO()):  # progress bars of rich
        return nncf.quantize(
            model,
            nncf.Dataset(list(feeds)),
            subset_size=len(feeds),
            model_type=nncf.ModelType.TRANSFORMER,
            preset=nncf.QuantizationPreset.MIXED,
            ignored_scope=nncf.IgnoredScope(names=sorted(ignored)) if ignored else None,
            advanced_parameters=nncf.AdvancedQuantizationParameters(activations_range_estimator_params=estimator),
        )


def products(model: Model) -> list[str]:
    """Names of the matrix products with a constant matrix, in graph order."""
    return [
        node.get_friendly_name()
        for node in model.get_ordered_ops()
        if node.get_type_name() == "MatMul" and node.input_value(1).get_node().get_type_name() == "Constant"
    ]


@kept_signal_stack()
def compress_weights(model: Model) -> Model:
    """Store weights, word embeddings included, in 8 bits and compute in float: smaller, not faster."""
    nncf = import_nncf()
    with contextlib.redirect_stdout(io.StringIO()):
        return nncf.compress_weights(model, mode=nncf.CompressWeightsMode.INT8_SYM)
