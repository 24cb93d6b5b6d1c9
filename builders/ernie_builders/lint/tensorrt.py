"""Rules on what TensorRT is given: precision, shapes, where engines are kept, and the zero points of 8-bit graphs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from types import ModuleType
from typing import TYPE_CHECKING

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.names import tokenizer_model

from ..repository.model_config import PORTABLE, TENSORRT
from ..repository.tensorrt_config import CACHE_PATH, PRECISION, PROVIDER, Shape, tensorrt_precision
from .model import Finding, Model

if TYPE_CHECKING:
    from onnx import GraphProto

SHAPE = re.compile(r"\w+:(\d+)x(\d+)")
QUANTIZATION = ("QuantizeLinear", "DequantizeLinear")


def tensorrt_rules(
    model: Model, models: Mapping[str, Model], manifest: Manifest, variant: Variant
) -> Iterator[Finding]:
    """The encoder's tensorrt.pbtxt: it computes in the variant's precision, and every request fits its profile."""
    file, fix, precision = f"{model.name}/{TENSORRT}", model.republish, tensorrt_precision(variant)
    config = model.configs.get(TENSORRT)
    if config is None:
        return
    if not precision:
        yield Finding(file, f"TensorRT cannot run variant {variant.name}", f"delete it or {fix}")
        return
    accelerators = config.optimization.execution_accelerators.gpu_execution_accelerator
    provider = next((accelerator for accelerator in accelerators if accelerator.name == PROVIDER), None)
    if provider is None:
        yield Finding(file, f"has no execution accelerator {PROVIDER}", fix)
        return
    mode = provider.parameters[PRECISION] or "FP32"
    if mode != precision:
        problem = f"{PRECISION} is {mode}, but the gate has judged variant {variant.name} in {precision}"
        yield Finding(file, problem, fix)
    cache = PurePosixPath(provider.parameters[CACHE_PATH])
    if provider.parameters["trt_engine_cache_enable"] not in ("1", "true"):
        yield Finding(file, "engines are not cached, so that each start builds them anew", fix)
    elif not cache.is_absolute() or cache.is_relative_to("/tmp"):
        yield Finding(file, f"engines are cached in '{cache}', which a new container does not have", fix)
    shapes = {name: _shape(provider.parameters[f"trt_profile_{name}_shapes"]) for name in ("min", "opt", "max")}
    low, opt, high = shapes["min"], shapes["opt"], shapes["max"]
    if low is None or opt is None or high is None:
        yield Finding(file, "trt_profile_min_shapes, _opt_shapes and _max_shapes are not all given", fix)
        return
    if not (low.rows <= opt.rows <= high.rows and low.tokens <= opt.tokens <= high.tokens):
        yield Finding(file, "the profile's shapes are not in the order min, opt, max", fix)
    yield from _fit_rules(file, config, models.get(tokenizer_model(manifest.task)), low, high, fix)


def _fit_rules(
    file: str, config: pb.ModelConfig, tokenizer: Model | None, low: Shape, high: Shape, fix: str
) -> Iterator[Finding]:
    """Batches, padded requests and warm-up requests lie between the profile's smallest and largest shapes."""
    if low.rows > 1 or config.max_batch_size > high.rows:
        problem = f"takes 1 to {config.max_batch_size} rows, the profile {low.rows} to {high.rows}"
        yield Finding(file, problem, fix)
    lengths = {f"model_warmup {request.name}": _length(request) for request in config.model_warmup}
    if tokenizer is not None and PORTABLE in tokenizer.configs:
        text = tokenizer.configs[PORTABLE].parameters["buckets"].string_value
        lengths |= {f"the tokenizer's bucket {number}": int(number) for number in text.split(",") if number.isdecimal()}
        if not text:
            yield Finding(
                file, "the tokenizer does not pad to buckets, so that requests are shorter than the profile", fix
            )
    for what, length in lengths.items():
        if not low.tokens <= length <= high.tokens:
            problem = f"{what} has {length} tokens, the profile {low.tokens} to {high.tokens}"
            yield Finding(file, problem, fix)


def _shape(text: str) -> Shape | None:
    """The shape that all inputs have in TensorRT's notation; None where it is none, or they differ."""
    found = set(SHAPE.findall(text))
    return Shape(rows=int(next(iter(found))[0]), tokens=int(next(iter(found))[1])) if len(found) == 1 else None


def _length(request: pb.ModelWarmup) -> int:
    """Tokens of a warm-up request."""
    return max((data.dims[0] for data in request.inputs.values() if data.dims), default=0)


def quantization_rules(file: str, onnx: ModuleType, graph: GraphProto, fix: str) -> Iterator[Finding]:
    """TensorRT takes no zero point but 0, of int8: others are refused when the engine is built."""
    constants = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type not in QUANTIZATION:
            continue
        name = node.input[2] if len(node.input) > 2 else ""
        if name not in constants:
            problem = f"{node.name} has no constant zero point, which TensorRT asks for"
        elif constants[name].data_type != onnx.TensorProto.INT8 or onnx.numpy_helper.to_array(constants[name]).any():
            dtype = onnx.TensorProto.DataType.Name(constants[name].data_type)
            problem = f"{node.name} has a zero point that TensorRT refuses ({dtype}; it takes INT8, 0)"
        else:
            continue
        yield Finding(file, problem, fix)
        return  # one of hundreds
