"""config.pbtxt of every model of a task, as typed ModelConfig messages (tritonclient's own protobuf classes).

Two flavours: the portable one pads each request to a length bucket, so that equal shapes meet in any engine's
dynamic batcher; the ragged one lets requests of different lengths meet in the Python engine stand-ins.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.kinds import TensorSpec, get_kind
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.names import (
    INPUT_IDS,
    MANIFEST_PARAMETER,
    TOKEN_TYPE_IDS,
    VARIANT_PARAMETER,
    encoder_model,
    fused_model,
    postprocess_model,
    tokenizer_model,
)
from ernie_runtime.steps.batching import ON_CPU
from ernie_runtime.text.windows import MAX_WINDOWS

from .buckets import length_buckets, median

PORTABLE, RAGGED, TENSORRT = "config.pbtxt", "configs/ragged.pbtxt", "configs/tensorrt.pbtxt"
NOT_RUN = (TENSORRT,)  # what a build writes and does not try: it wants a GPU and NVIDIA's image
WINDOW_LENGTHS = "window_lengths"  # in made_by: length in tokens -> how many of the data's windows have it
THREADS = "intra_op_thread_count"  # not written where it is 0: all cores
STAND_IN = (*asdict(ON_CPU), THREADS)  # parameters of the engine stand-ins
MAX_TEXTS = 256  # texts in one request
PIPELINE, STEPS, FUSED = "pipeline", "steps", "fused"  # in made_by: whether T_fused is published beside the ensembles
EIGHT_BITS = ("int8", "qat8")  # precisions whose graph has QuantizeLinear nodes

ENCODER_INPUTS = (TensorSpec(INPUT_IDS, "INT64", (-1,)), TensorSpec(TOKEN_TYPE_IDS, "INT64", (-1,)))
WINDOW, ITEM = TensorSpec("WINDOW", "INT32", (2,)), TensorSpec("ITEM", "BYTES", (1,))
OFFSETS = TensorSpec("OFFSETS", "INT32", (-1, 2))
RESULT = TensorSpec("RESULT", "BYTES", (1,))


def is_fused(manifest: Manifest) -> bool:
    """Whether the task is published in one process too."""
    return manifest.made_by.get(PIPELINE) == FUSED


def fused_manifest(manifest: Manifest) -> Manifest:
    """What clients are told of T_fused: a task of that name, so that they ask it as they ask any."""
    return replace(manifest, task=fused_model(manifest.task))


def hand_over(manifest: Manifest) -> tuple[TensorSpec, ...]:
    """What the tokenizer hands to the postprocessor past the encoder."""
    return (WINDOW, ITEM, *((OFFSETS,) if get_kind(manifest.kind).offsets else ()))


def buckets(manifest: Manifest) -> list[int]:
    """Lengths that the portable configuration pads to, ascending up to max_length."""
    return length_buckets(manifest.made_by.get(WINDOW_LENGTHS, {}), manifest.limits.max_length)


def profile(manifest: Manifest) -> dict[str, tuple[int, int]]:
    """TensorRT's min, opt and max shapes (rows, length): any window fits, the data's median length is the fastest."""
    lengths = buckets(manifest)
    known = manifest.made_by.get(WINDOW_LENGTHS)
    middle = median(known) if known else lengths[len(lengths) // 2]
    likely = next(length for length in lengths if length >= min(middle, lengths[-1]))
    return {"min": (1, lengths[0]), "opt": (8, likely), "max": (MAX_WINDOWS, lengths[-1])}


def tokenizer_config(manifest: Manifest, ragged: bool) -> pb.ModelConfig:
    """T_tokenizer."""
    kind = get_kind(manifest.kind)
    config = _model(tokenizer_model(manifest.task), "ernie_tokenizer", MAX_TEXTS)
    _tensors(config.input, kind.inputs)
    _tensors(config.output, (*ENCODER_INPUTS, *hand_over(manifest)))
    if not ragged:
        config.parameters["buckets"].string_value = ",".join(map(str, buckets(manifest)))
    _cpu(config)
    return config


def encoder_config(manifest: Manifest, variant: Variant, ragged: bool) -> pb.ModelConfig:
    """T_encoder_V."""
    config = _model(encoder_model(manifest.task, variant.name), variant.engine, MAX_WINDOWS)
    config.default_model_filename = variant.file
    _tensors(config.input, ENCODER_INPUTS, ragged)
    _tensors(config.output, get_kind(manifest.kind).encoder_outputs(manifest))
    for name, value in variant.settings.items():
        config.parameters[name].string_value = value
    if ragged:
        _micro_batches(config, variant)
    return config


def tensorrt_config(manifest: Manifest, variant: Variant) -> pb.ModelConfig:
    """T_encoder_V on a GPU: ONNX Runtime's TensorRT provider in FP16 (INT8 where the graph says so), engines cached.

    For NVIDIA's image only: the pip server has no C++ engines. Requests are padded to length buckets as in the portable
    configuration; the engine's one profile spans them all. Not run by this project (no GPU at hand).
    """
    config = encoder_config(manifest, variant, False)
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_GPU, count=1)
    accelerator = config.optimization.execution_accelerators.gpu_execution_accelerator.add(name="tensorrt")
    accelerator.parameters["precision_mode"] = "INT8" if variant.made.get("precision") in EIGHT_BITS else "FP16"
    accelerator.parameters["max_workspace_size_bytes"] = str(1 << 30)
    accelerator.parameters["trt_engine_cache_enable"] = "1"
    accelerator.parameters["trt_engine_cache_path"] = f"/tmp/tensorrt/{config.name}/{manifest.version}"
    for name, (rows, length) in profile(manifest).items():
        accelerator.parameters[f"trt_profile_{name}_shapes"] = ",".join(
            f"{tensor.name}:{rows}x{length}" for tensor in ENCODER_INPUTS
        )
    return config


def postprocess_config(manifest: Manifest, ragged: bool) -> pb.ModelConfig:
    """T_postprocess."""
    kind = get_kind(manifest.kind)
    config = _model(postprocess_model(manifest.task), "ernie_postprocess", MAX_WINDOWS)
    _tensors(config.input, (*hand_over(manifest), *kind.encoder_outputs(manifest)), ragged)
    _tensors(config.output, (*kind.numeric_outputs(manifest), RESULT))
    _cpu(config)
    return config


def ensemble_config(manifest: Manifest, name: str, variant: Variant) -> pb.ModelConfig:
    """T or T_V: tokenizer, encoder, postprocessor; the manifest in a parameter, for clients.

    Its answers may be kept: a server caches nothing unless it is started with a response cache.
    """
    kind = get_kind(manifest.kind)
    config = pb.ModelConfig(name=name, platform="ensemble", max_batch_size=MAX_TEXTS)
    config.response_cache.enable = True
    _tensors(config.input, kind.inputs)
    _tensors(config.output, (*kind.numeric_outputs(manifest), RESULT))
    passed = hand_over(manifest)
    logits = kind.encoder_outputs(manifest)
    _step(config, tokenizer_model(manifest.task), kind.inputs, (*ENCODER_INPUTS, *passed))
    _step(config, encoder_model(manifest.task, variant.name), ENCODER_INPUTS, logits)
    _step(config, postprocess_model(manifest.task), (*passed, *logits), (*kind.numeric_outputs(manifest), RESULT))
    config.parameters[MANIFEST_PARAMETER].string_value = manifest.to_json()
    config.parameters[VARIANT_PARAMETER].string_value = variant.name
    return config


def fused_config(manifest: Manifest, variant: Variant) -> pb.ModelConfig:
    """T_fused: the recommended variant in one process, the same inputs and outputs as the ensemble's.

    It holds no weights: it reads those of T_encoder_V and the vocabulary of T_tokenizer, of its own version.
    """
    kind = get_kind(manifest.kind)
    config = _model(fused_model(manifest.task), "ernie_pipeline", MAX_TEXTS)
    config.response_cache.enable = True
    _tensors(config.input, kind.inputs)
    _tensors(config.output, (*kind.numeric_outputs(manifest), RESULT))
    _micro_batches(config, variant)
    config.parameters[MANIFEST_PARAMETER].string_value = fused_manifest(manifest).to_json()
    config.parameters[VARIANT_PARAMETER].string_value = variant.name
    return config


def add_warmup(
    config: pb.ModelConfig, name: str, files: Mapping[str, tuple[str, Sequence[int]]], batch: int = 1
) -> None:
    """A warm-up request from files in the model's warmup/ folder: input -> (file, dims)."""
    request = config.model_warmup.add(name=name, batch_size=batch)
    types = {tensor.name: tensor.data_type for tensor in config.input}
    for tensor, (file, dims) in files.items():
        request.inputs[tensor].data_type = types[tensor]
        request.inputs[tensor].dims.extend(dims)
        request.inputs[tensor].input_data_file = file


def to_text(config: pb.ModelConfig) -> str:
    """The pbtxt form, Chinese readable."""
    text: str = text_format.MessageToString(config, as_utf8=True)
    return "# Written by the builder (repository/model_config.py); change the task and publish again.\n" + text


def from_text(text: str) -> pb.ModelConfig:
    """Parse pbtxt; google.protobuf.text_format.ParseError where it is wrong."""
    config: pb.ModelConfig = text_format.Parse(text, pb.ModelConfig())
    return config


def _model(name: str, backend: str, max_batch_size: int) -> pb.ModelConfig:
    config = pb.ModelConfig(name=name, backend=backend, max_batch_size=max_batch_size)
    config.dynamic_batching.SetInParent()
    return config


def _micro_batches(config: pb.ModelConfig, variant: Variant) -> None:
    for name, value in {**asdict(ON_CPU), **variant.batching}.items():
        if name in STAND_IN and (value or name != THREADS):
            config.parameters[name].string_value = str(value)


def _cpu(config: pb.ModelConfig) -> None:
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)


def _tensors(field: Any, specs: Sequence[TensorSpec], ragged: bool = False) -> None:
    for spec in specs:
        data_type = pb.DataType.Value("TYPE_STRING" if spec.dtype == "BYTES" else f"TYPE_{spec.dtype}")
        tensor = field.add(name=spec.name, data_type=data_type, dims=spec.dims)
        if ragged and -1 in spec.dims:
            tensor.allow_ragged_batch = True


def _step(config: pb.ModelConfig, model: str, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec]) -> None:
    step = config.ensemble_scheduling.step.add(model_name=model, model_version=-1)
    for spec in inputs:
        step.input_map[spec.name] = spec.name
    for spec in outputs:
        step.output_map[spec.name] = spec.name
