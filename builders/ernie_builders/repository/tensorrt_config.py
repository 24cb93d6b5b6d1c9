"""configs/tensorrt.pbtxt: an encoder in ONNX Runtime's TensorRT provider, for NVIDIA's image on a GPU.

Not run by this project (no GPU at hand): no engine was ever built from it. What is checked without one is that the
variant's graph answers as the gate asks in ONNX Runtime on the CPU, and the rules of lint/tensorrt.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.engines import engine_spec
from ernie_runtime.manifest import Manifest, Variant

from . import portable
from .buckets import median
from .model_config import ENCODER_INPUTS, WINDOW_LENGTHS, buckets, encoder_config

PROVIDER = "tensorrt"  # name of the execution accelerator
CACHE = "/var/cache/ernie-triton"  # a volume: an engine takes minutes to build, and fits one GPU and one TensorRT
OPT_ROWS = 32  # that an engine is tuned for; a GPU runs few rows no faster than these
PRECISION, CACHE_PATH = "precision_mode", "trt_engine_cache_path"  # parameters of the provider


@dataclass(frozen=True, kw_only=True)
class Shape:
    """Of the encoder's inputs."""

    rows: int
    tokens: int

    def __str__(self) -> str:
        """As TensorRT's options write it: input_ids:8x64,token_type_ids:8x64."""
        return ",".join(f"{tensor.name}:{self.rows}x{self.tokens}" for tensor in ENCODER_INPUTS)


def tensorrt_precision(variant: Variant) -> str:
    """FP32, FP16 or INT8: what TensorRT computes the variant in. Empty where it cannot run the variant.

    Each variant runs in its own precision only, in which the gate has judged it.
    """
    precision = variant.made.get("precision", "fp32")
    if not engine_spec(variant.engine).reads_onnx:
        return ""
    if precision in ("fp32", "fp16"):
        return "" if "-e8-" in f"-{variant.name}-" else precision.upper()
    return "INT8" if variant.made.get("symmetric") else ""


def profile(manifest: Manifest) -> dict[str, Shape]:
    """The shapes min, opt and max of an engine's one profile: any padded request fits; opt has the median length."""
    lengths, rows = buckets(manifest), portable.max_rows(manifest)
    counts = manifest.made_by.get(WINDOW_LENGTHS)
    middle = median(counts) if counts else lengths[len(lengths) // 2]
    typical = next(length for length in lengths if length >= min(middle, lengths[-1]))
    return {
        "min": Shape(rows=1, tokens=lengths[0]),
        "opt": Shape(rows=min(OPT_ROWS, rows), tokens=typical),
        "max": Shape(rows=rows, tokens=lengths[-1]),
    }


def tensorrt_config(manifest: Manifest, variant: Variant) -> pb.ModelConfig:
    """T_encoder_V on a GPU, with the batches and the padding of the portable configuration, and cached engines.

    variant: one with a `tensorrt_precision`.
    """
    config = encoder_config(manifest, variant)
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_GPU, count=1)
    provider = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name=PROVIDER)
    provider.parameters[PRECISION] = tensorrt_precision(variant)
    provider.parameters["max_workspace_size_bytes"] = str(1 << 30)
    provider.parameters["trt_engine_cache_enable"] = "1"
    provider.parameters[CACHE_PATH] = f"{CACHE}/{config.name}-{manifest.version}"  # ONNX Runtime makes the last folder
    for name, shape in profile(manifest).items():
        provider.parameters[f"trt_profile_{name}_shapes"] = str(shape)
    return config
