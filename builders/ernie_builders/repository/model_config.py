"""config.pbtxt of every model of a task, as typed ModelConfig messages (tritonclient's own protobuf classes).

Three flavours, chosen with `tritonserver --model-config-name`: the portable one pads each request to a length bucket,
because an engine's dynamic batcher merges consecutive requests of equal shape only; the ragged one lets requests of
different lengths meet in the Python stand-ins for engines; the TensorRT one (tensorrt_config.py) is for a GPU. A task
with `serving.packed` has a fourth, in which they meet in NVIDIA's backend of ONNX Runtime (packed_config.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from typing import TYPE_CHECKING

from google.protobuf import text_format
from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime import names
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

from . import portable
from .buckets import length_buckets

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import RepeatedMessage

PORTABLE, RAGGED, TENSORRT = "config.pbtxt", "configs/ragged.pbtxt", "configs/tensorrt.pbtxt"
NOT_RUN = (TENSORRT,)  # written by a build but never run by it: needs a GPU and NVIDIA's image
WINDOW_LENGTHS = "window_lengths"  # key of made_by: length in tokens -> number of the data's windows
THREADS = "intra_op_thread_count"  # parameter; left out if 0, which means all cores
STAND_IN_PARAMETERS = (*asdict(ON_CPU), THREADS)
MAX_TEXTS = 256  # in one request
PIPELINE, STEPS, FUSED = "pipeline", "steps", "fused"  # key of made_by and its values: whether T_fused is published too

ENCODER_INPUTS = (TensorSpec(INPUT_IDS, "INT64", (-1,)), TensorSpec(TOKEN_TYPE_IDS, "INT64", (-1,)))
WINDOW, ITEM = TensorSpec(names.WINDOW, "INT32", (2,)), TensorSpec(names.ITEM, "BYTES", (1,))
OFFSETS = TensorSpec(names.OFFSETS, "INT32", (-1, 2))
RESULT = TensorSpec(names.RESULT, "BYTES", (1,))


def is_fused(manifest: Manifest) -> bool:
    """Whether the task is also published as T_fused, all three steps in one process."""
    return manifest.made_by.get(PIPELINE) == FUSED


def fused_manifest(manifest: Manifest) -> Manifest:
    """The manifest that T_fused gives to clients: a task of that name, which they call like any other."""
    return replace(manifest, task=fused_model(manifest.task))


def side_tensors(manifest: Manifest) -> tuple[TensorSpec, ...]:
    """What the tokenizer passes to the postprocessor directly, past the encoder."""
    return (WINDOW, ITEM, *((OFFSETS,) if get_kind(manifest.kind).offsets else ()))


def buckets(manifest: Manifest) -> list[int]:
    """Lengths in tokens that the portable configuration pads to, ascending, the last is max_length."""
    return length_buckets(manifest.made_by.get(WINDOW_LENGTHS, {}), manifest.limits.max_length)


def tokenizer_config(manifest: Manifest, ragged: bool) -> pb.ModelConfig:
    """Configuration of T_tokenizer."""
    kind = get_kind(manifest.kind)
    config = _model(tokenizer_model(manifest.task), "ernie_tokenizer", MAX_TEXTS)
    add_tensors(config.input, kind.inputs)
    add_tensors(config.output, (*ENCODER_INPUTS, *side_tensors(manifest)))
    if not ragged:
        config.parameters["buckets"].string_value = ",".join(map(str, buckets(manifest)))
        portable.bound_tokenizer(config, manifest)
    _cpu(config)
    return config


def encoder_config(manifest: Manifest, variant: Variant, ragged: bool) -> pb.ModelConfig:
    """Configuration of T_encoder_V."""
    config = _model(encoder_model(manifest.task, variant.name), variant.engine, MAX_WINDOWS)
    config.default_model_filename = variant.file
    add_tensors(config.input, ENCODER_INPUTS, ragged)
    add_tensors(config.output, get_kind(manifest.kind).encoder_outputs(manifest))
    for name, value in variant.settings.items():
        config.parameters[name].string_value = value
    if ragged:
        _micro_batches(config, variant)
    else:
        portable.bound_encoder(config, manifest)
    return config


def postprocess_config(manifest: Manifest, ragged: bool) -> pb.ModelConfig:
    """Configuration of T_postprocess."""
    kind = get_kind(manifest.kind)
    config = _model(postprocess_model(manifest.task), "ernie_postprocess", MAX_WINDOWS)
    add_tensors(config.input, (*side_tensors(manifest), *kind.encoder_outputs(manifest)), ragged)
    add_tensors(config.output, (*kind.numeric_outputs(manifest), RESULT))
    _cpu(config)
    return config


def ensemble_configs(manifest: Manifest, name: str, variant: Variant) -> dict[str, pb.ModelConfig]:
    """Flavour -> configuration of the ensemble T or T_V.

    Triton refuses an ensemble that takes more texts than its encoder takes rows, so the portable one may need a bound
    of its own; where it does not, it is the only one.
    """
    portable_config, ragged = (ensemble_config(manifest, name, variant, flavour) for flavour in (False, True))
    same = portable_config.max_batch_size == ragged.max_batch_size
    return {PORTABLE: portable_config} if same else {PORTABLE: portable_config, RAGGED: ragged}


def ensemble_config(manifest: Manifest, name: str, variant: Variant, ragged: bool) -> pb.ModelConfig:
    """Configuration of the ensemble T or T_V: tokenizer, encoder, postprocessor; the manifest in a parameter.

    Answers may be cached; the server does so only if it is started with a response cache.
    """
    kind = get_kind(manifest.kind)
    texts = MAX_TEXTS if ragged else min(MAX_TEXTS, portable.max_rows(manifest))
    config = pb.ModelConfig(name=name, platform="ensemble", max_batch_size=texts)
    config.response_cache.enable = True
    add_tensors(config.input, kind.inputs)
    add_tensors(config.output, (*kind.numeric_outputs(manifest), RESULT))
    side, logits = side_tensors(manifest), kind.encoder_outputs(manifest)
    steps = (
        (tokenizer_model(manifest.task), kind.inputs, (*ENCODER_INPUTS, *side)),
        (encoder_model(manifest.task, variant.name), ENCODER_INPUTS, logits),
        (postprocess_model(manifest.task), (*side, *logits), (*kind.numeric_outputs(manifest), RESULT)),
    )
    for model, inputs, outputs in steps:
        add_step(config, model, {spec.name: spec.name for spec in inputs}, outputs)
    config.parameters[MANIFEST_PARAMETER].string_value = manifest.to_json()
    config.parameters[VARIANT_PARAMETER].string_value = variant.name
    return config


def fused_config(manifest: Manifest, variant: Variant) -> pb.ModelConfig:
    """Configuration of T_fused: the recommended variant in one process, with the ensemble's inputs and outputs.

    It holds no weights: it reads those of T_encoder_V and the vocabulary of T_tokenizer, of the same version. No cache
    for its answers: Triton 2.51 keeps a failed request of such a model too, as a reply without outputs.
    """
    kind = get_kind(manifest.kind)
    config = _model(fused_model(manifest.task), "ernie_pipeline", MAX_TEXTS)
    add_tensors(config.input, kind.inputs)
    add_tensors(config.output, (*kind.numeric_outputs(manifest), RESULT))
    _micro_batches(config, variant)
    config.parameters[MANIFEST_PARAMETER].string_value = fused_manifest(manifest).to_json()
    config.parameters[VARIANT_PARAMETER].string_value = variant.name
    return config


def add_warmup(
    config: pb.ModelConfig, name: str, files: Mapping[str, tuple[str, Sequence[int]]], batch: int = 1
) -> None:
    """Add a warm-up request from files in the model's warmup/ folder; files: input -> (file name, dims)."""
    request = config.model_warmup.add(name=name, batch_size=batch)
    types = {tensor.name: tensor.data_type for tensor in config.input}
    for tensor, (file, dims) in files.items():
        request.inputs[tensor].data_type = types[tensor]
        request.inputs[tensor].dims.extend(dims)
        request.inputs[tensor].input_data_file = file


def to_text(config: pb.ModelConfig) -> str:
    """The text of config.pbtxt, Chinese readable."""
    text = text_format.MessageToString(config, as_utf8=True)
    return "# Written by the builder (repository/model_config.py); change the task and publish again.\n" + text


def from_text(text: str) -> pb.ModelConfig:
    """Parse the text of a config.pbtxt; google.protobuf.text_format.ParseError if it is malformed."""
    return text_format.Parse(text, pb.ModelConfig())


def add_tensors(
    tensors: RepeatedMessage[pb.ModelInput] | RepeatedMessage[pb.ModelOutput],
    specs: Iterable[TensorSpec],
    ragged: bool = False,
) -> None:
    """Add inputs or outputs; ragged: requests that differ in a variable dimension may be batched together."""
    for spec in specs:
        data_type = pb.DataType.Value("TYPE_STRING" if spec.dtype == "BYTES" else f"TYPE_{spec.dtype}")
        tensor = tensors.add(name=spec.name, data_type=data_type, dims=spec.dims)
        if ragged and -1 in spec.dims and isinstance(tensor, pb.ModelInput):
            tensor.allow_ragged_batch = True


def add_step(config: pb.ModelConfig, model: str, inputs: Mapping[str, str], outputs: Iterable[TensorSpec]) -> None:
    """Add a step to an ensemble; inputs: the model's input -> the ensemble's tensor; outputs keep their names."""
    step = config.ensemble_scheduling.step.add(model_name=model, model_version=-1)
    step.input_map.update(inputs)
    step.output_map.update({spec.name: spec.name for spec in outputs})


def _model(name: str, backend: str, max_batch_size: int) -> pb.ModelConfig:
    config = pb.ModelConfig(name=name, backend=backend, max_batch_size=max_batch_size)
    config.dynamic_batching.SetInParent()
    return config


def _micro_batches(config: pb.ModelConfig, variant: Variant) -> None:
    for name, value in {**asdict(ON_CPU), **variant.batching}.items():
        if name in STAND_IN_PARAMETERS and (value or name != THREADS):
            config.parameters[name].string_value = str(value)


def _cpu(config: pb.ModelConfig) -> None:
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
