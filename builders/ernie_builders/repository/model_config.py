"""config.pbtxt of every model of a task, as typed ModelConfig messages (tritonclient's own protobuf classes).

Three flavours, chosen with `tritonserver --model-config-name`: in the portable one a task is an ensemble of three
models, and each request is padded to a length bucket, because an engine's dynamic batcher merges consecutive requests
of equal shape only; in the ragged one, for engines in Python, the encoder's process is the whole task, and requests of
different lengths meet there; the TensorRT one (tensorrt_config.py) is for a GPU. A task with `serving.packed` has a
fourth, in which they meet in NVIDIA's backend of ONNX Runtime (packed_config.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
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
    postprocess_model,
    tokenizer_model,
)
from ernie_runtime.steps.batching import ON_CPU
from ernie_runtime.text.windows import MAX_WINDOWS

from ..config.serving import WHOLE_TASK
from . import portable
from .buckets import length_buckets

if TYPE_CHECKING:
    from tritonclient.grpc.model_config_pb2 import RepeatedMessage

PORTABLE, RAGGED, TENSORRT = "config.pbtxt", "configs/ragged.pbtxt", "configs/tensorrt.pbtxt"
NOT_RUN = (TENSORRT,)  # written by a build but never run by it: needs a GPU and NVIDIA's image
WINDOW_LENGTHS = "window_lengths"  # key of made_by: length in tokens -> number of the data's windows
THREADS = "intra_op_thread_count"  # parameter; left out if 0, which means all cores
PROCESS_PARAMETERS = (*asdict(ON_CPU), THREADS)
MAX_TEXTS = 256  # in one request

ENCODER_INPUTS = (TensorSpec(INPUT_IDS, "INT64", (-1,)), TensorSpec(TOKEN_TYPE_IDS, "INT64", (-1,)))
WINDOW, ITEM = TensorSpec(names.WINDOW, "INT32", (2,)), TensorSpec(names.ITEM, "BYTES", (1,))
OFFSETS = TensorSpec(names.OFFSETS, "INT32", (-1, 2))
RESULT = TensorSpec(names.RESULT, "BYTES", (1,))


def side_tensors(manifest: Manifest) -> tuple[TensorSpec, ...]:
    """What the tokenizer passes to the postprocessor directly, past the encoder."""
    return (WINDOW, ITEM, *((OFFSETS,) if get_kind(manifest.kind).offsets else ()))


def buckets(manifest: Manifest) -> list[int]:
    """Lengths in tokens that the portable configuration pads to, ascending, the last is max_length."""
    return length_buckets(manifest.made_by.get(WINDOW_LENGTHS, {}), manifest.limits.max_length)


def tokenizer_config(manifest: Manifest) -> pb.ModelConfig:
    """Configuration of T_tokenizer."""
    kind = get_kind(manifest.kind)
    config = _model(tokenizer_model(manifest.task), "ernie_tokenizer", MAX_TEXTS)
    add_tensors(config.input, kind.inputs)
    add_tensors(config.output, (*ENCODER_INPUTS, *side_tensors(manifest)))
    config.parameters["buckets"].string_value = ",".join(map(str, buckets(manifest)))
    portable.bound_tokenizer(config, manifest)
    _cpu(config)
    return config


def encoder_config(manifest: Manifest, variant: Variant) -> pb.ModelConfig:
    """Configuration of T_encoder_V as a step: ids in, logits out."""
    config = _model(encoder_model(manifest.task, variant.name), variant.engine, MAX_WINDOWS)
    config.default_model_filename = variant.file
    add_tensors(config.input, ENCODER_INPUTS)
    add_tensors(config.output, get_kind(manifest.kind).encoder_outputs(manifest))
    for name, value in variant.settings.items():
        config.parameters[name].string_value = value
    portable.bound_encoder(config, manifest)
    return config


def pipeline_config(manifest: Manifest, variant: Variant) -> pb.ModelConfig:
    """Configuration of T_encoder_V as the whole task in one process: texts in, answers out.

    Two thirds of the processes less than three steps take, and no texts, ids and logits between them: more texts/s at
    less memory, with the same answers. No cache for them here, as the ensemble has it: Triton 2.51 keeps a failed
    request of a model that is no ensemble too, as a reply without outputs.
    """
    kind = get_kind(manifest.kind)
    config = _model(encoder_model(manifest.task, variant.name), WHOLE_TASK, MAX_TEXTS)
    add_tensors(config.input, kind.inputs)
    add_tensors(config.output, (*kind.numeric_outputs(manifest), RESULT))
    config.parameters[VARIANT_PARAMETER].string_value = variant.name
    for name, value in {**asdict(ON_CPU), **variant.batching}.items():
        if name in PROCESS_PARAMETERS and (value or name != THREADS):
            config.parameters[name].string_value = str(value)
    return config


def postprocess_config(manifest: Manifest, ragged: bool = False) -> pb.ModelConfig:
    """Configuration of T_postprocess."""
    kind = get_kind(manifest.kind)
    config = _model(postprocess_model(manifest.task), "ernie_postprocess", MAX_WINDOWS)
    add_tensors(config.input, (*side_tensors(manifest), *kind.encoder_outputs(manifest)), ragged)
    add_tensors(config.output, (*kind.numeric_outputs(manifest), RESULT))
    _cpu(config)
    return config


def ensemble_configs(manifest: Manifest, name: str, variant: Variant) -> dict[str, pb.ModelConfig]:
    """Flavour -> configuration of the ensemble T or T_V."""
    flavours = {PORTABLE: False, RAGGED: True}
    return {file: ensemble_config(manifest, name, variant, whole) for file, whole in flavours.items()}


def ensemble_config(manifest: Manifest, name: str, variant: Variant, whole: bool) -> pb.ModelConfig:
    """Configuration of the ensemble T or T_V, with the manifest in a parameter.

    whole: its one step is the whole task in one process; else they are tokenizer, encoder and postprocessor, and it
    takes no more texts than the encoder takes rows, as Triton demands. Answers may be cached; the server does so only
    if it is started with a response cache.
    """
    kind = get_kind(manifest.kind)
    texts = MAX_TEXTS if whole else min(MAX_TEXTS, portable.max_rows(manifest))
    config = pb.ModelConfig(name=name, platform="ensemble", max_batch_size=texts)
    config.response_cache.enable = True
    add_tensors(config.input, kind.inputs)
    add_tensors(config.output, (*kind.numeric_outputs(manifest), RESULT))
    side, logits = side_tensors(manifest), kind.encoder_outputs(manifest)
    answers, encoder = (*kind.numeric_outputs(manifest), RESULT), encoder_model(manifest.task, variant.name)
    steps: tuple[tuple[str, Iterable[TensorSpec], Iterable[TensorSpec]], ...] = (
        (tokenizer_model(manifest.task), kind.inputs, (*ENCODER_INPUTS, *side)),
        (encoder, ENCODER_INPUTS, logits),
        (postprocess_model(manifest.task), (*side, *logits), answers),
    )
    for model, inputs, outputs in ((encoder, kind.inputs, answers),) if whole else steps:
        add_step(config, model, {spec.name: spec.name for spec in inputs}, outputs)
    config.parameters[MANIFEST_PARAMETER].string_value = manifest.to_json()
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


def _cpu(config: pb.ModelConfig) -> None:
    config.instance_group.add(kind=pb.ModelInstanceGroup.KIND_CPU, count=1)
