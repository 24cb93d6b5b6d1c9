"""Rules on a task's models together: all there, of one version, files and graphs as the manifest says."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from google.protobuf.message import DecodeError

from ernie_runtime.errors import VocabularyError
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.names import (
    MANIFEST_FILE,
    MANIFEST_PARAMETER,
    TOKENIZER_FILE,
    VARIANT_PARAMETER,
    encoder_model,
    postprocess_model,
    tokenizer_model,
    variant_ensemble,
)
from ernie_runtime.text.tokenizer_file import load_tokenizer

from ..config.serving import WHOLE_TASK
from ..filesystem import sha256_of
from ..repository import model_config
from ..repository.packed_config import PACKED, PACKED_FILE, packed_encoder_config
from ..repository.tensorrt_config import tensorrt_precision
from .model import Finding, Model
from .tensorrt import quantization_rules, tensorrt_rules
from .tensors import Side, Tensor, Tensors, config_tensors, contract_rules, name_rules

if TYPE_CHECKING:
    from onnx import GraphProto

ONNX_TYPES = {"FLOAT": "FP32", "FLOAT16": "FP16", "DOUBLE": "FP64", "BFLOAT16": "BF16"}  # Triton's names


def task_models(manifest: Manifest) -> dict[str, Variant | None]:
    """Name of each model that a task is published as -> its variant; None for the tokenizer and the postprocessor."""
    task, recommended = manifest.task, manifest.variant(manifest.recommended)
    models: dict[str, Variant | None] = {tokenizer_model(task): None, postprocess_model(task): None}
    for variant in manifest.variants:
        models |= {encoder_model(task, variant.name): variant, variant_ensemble(task, variant.name): variant}
    return {**models, task: recommended}


def expected_models(models: Mapping[str, Model]) -> dict[str, Manifest]:
    """Name of every model that the tasks in the repository should have -> the task's newest manifest."""
    newest: dict[str, tuple[tuple[int, bool], Manifest]] = {}
    for model in models.values():
        for version, manifest in model.manifests.items():
            rank = version, model.name == manifest.task
            if model.name in task_models(manifest) and (manifest.task not in newest or rank > newest[manifest.task][0]):
                newest[manifest.task] = rank, manifest
    return {name: manifest for _, manifest in newest.values() for name in task_models(manifest)}


def task_rules(
    models: Mapping[str, Model], expected: Mapping[str, Manifest], onnx: ModuleType | None
) -> Iterator[Finding]:
    """A task's models are all there, of one version, and match the manifest; onnx: None skips the graphs."""
    for name in models.keys() - expected.keys():
        if models[name].manifests or not any(models[name].folder.glob(f"*/{MANIFEST_FILE}")):
            yield Finding(name, "belongs to no task here", "delete the folder, or publish its task")
    for name in expected.keys() - models.keys():
        yield Finding(name, "the model is missing", f"publish {expected[name].task} again")
    newest: Counter[str] = Counter()  # by task
    texts: dict[tuple[str, int], Counter[str]] = {}  # by task and version
    for name in models.keys() & expected.keys():
        task = expected[name].task
        newest[task] = max(newest[task], models[name].newest)
        for version in models[name].manifests:
            texts.setdefault((task, version), Counter())[_shared_text(models[name], version)] += 1
    for name in models.keys() & expected.keys():
        model, manifest = models[name], expected[name]
        if model.versions and model.newest != newest[manifest.task]:
            problem = f"newest version is {model.newest}, the task's is {newest[manifest.task]}"
            yield Finding(name, problem, model.republish)
        for version in model.versions:
            file = f"{name}/{version}/{MANIFEST_FILE}"
            if version in model.manifests:
                if _shared_text(model, version) != texts[manifest.task, version].most_common(1)[0][0]:
                    yield Finding(file, "differs from the task's other models of this version", model.republish)
                if model.manifests[version].version != version:
                    problem = f"says version {model.manifests[version].version}, its directory {version}"
                    yield Finding(file, problem, model.republish)
                yield from _version_rules(model, model.manifests[version], version, onnx)
            elif not (model.folder / str(version) / MANIFEST_FILE).exists():
                yield Finding(file, "missing", model.republish)
        variant = task_models(manifest)[name]
        yield from _member_rules(model, manifest, variant)
        if variant is not None and name == encoder_model(manifest.task, variant.name):
            yield from tensorrt_rules(model, models, manifest, variant)


def _shared_text(model: Model, version: int) -> str:
    """A version's manifest without what its models may say differently: only the plain ensemble says which variant is
    recommended."""
    manifest = model.manifests[version]
    return replace(manifest, recommended=manifest.variants[0].name).to_json()


def _by(manifest: Manifest) -> str:
    return f"the manifest ({len(manifest.labels)} labels)"


def _member_rules(model: Model, manifest: Manifest, variant: Variant | None) -> Iterator[Finding]:
    """The configurations of an encoder or ensemble against the task's newest manifest."""
    if variant is None:
        return
    fix, encoder = model.republish, encoder_model(manifest.task, variant.name)
    for file, config in model.configs.items():
        where = f"{model.name}/{file}"
        if model.name == encoder:
            made = {PACKED: packed_encoder_config, model_config.RAGGED: model_config.pipeline_config}
            wanted = made.get(file, model_config.encoder_config)(manifest, variant)
            if file == PACKED and list(config.batch_input) != list(wanted.batch_input):
                yield Finding(where, f"batch_input is not that of {PACKED_FILE}", fix)
            for field in ("backend", "default_model_filename"):
                value, wanted_value = getattr(config, field), getattr(wanted, field)
                if value != wanted_value:
                    yield Finding(where, f"{field} is {value!r}, the manifest says {wanted_value!r}", fix)
            runs = config.parameters[VARIANT_PARAMETER].string_value if file == model_config.RAGGED else variant.name
            if runs != variant.name:
                yield Finding(where, f"runs variant {runs!r}, not {variant.name}", fix)
        else:
            wanted = model_config.ensemble_config(manifest, model.name, variant, file == model_config.RAGGED)
            if encoder not in {step.model_name for step in config.ensemble_scheduling.step}:
                yield Finding(where, f"has no step {encoder}, the manifest's variant {variant.name}", fix)
            if model.newest in model.manifests:
                text = (model.folder / str(model.newest) / MANIFEST_FILE).read_text(encoding="utf-8")
                if config.parameters[MANIFEST_PARAMETER].string_value != text:
                    yield Finding(where, f"parameter manifest is not {model.newest}/{MANIFEST_FILE}", fix)
        yield from contract_rules(where, config_tensors(config), config_tensors(wanted), _by(manifest), fix)


def _version_rules(model: Model, manifest: Manifest, version: int, onnx: ModuleType | None) -> Iterator[Finding]:
    """Vocabulary and encoder files of one version against its manifest."""
    folder, where, fix = model.folder / str(version), f"{model.name}/{version}", model.republish
    path = folder / TOKENIZER_FILE
    if path.is_file():
        file = f"{where}/{TOKENIZER_FILE}"
        try:
            tokenizer = load_tokenizer(path)
        except VocabularyError as error:
            yield Finding(file, str(error).removeprefix(f"{path}: "), fix)
            return
        if tokenizer.vocab_size != manifest.vocabulary_size:
            problem = f"has {tokenizer.vocab_size} tokens, the manifest says {manifest.vocabulary_size}"
            yield Finding(file, problem, fix)
        if tokenizer.fingerprint != manifest.vocabulary_sha256:
            yield Finding(file, "its tokens are not those of the manifest's vocabulary_sha256", fix)
    elif model.configs.get(model_config.RAGGED) and model.configs[model_config.RAGGED].backend == WHOLE_TASK:
        yield Finding(f"{where}/{TOKENIZER_FILE}", "missing", fix)
    for variant in manifest.variants:
        if model.name == encoder_model(manifest.task, variant.name) and (folder / variant.file).is_file():
            yield from _weight_rules(folder, where, variant, fix)
            if onnx is not None and variant.file.endswith(".onnx"):
                yield from _graph_rules(folder, where, manifest, variant, onnx, fix)


def _weight_rules(folder: Path, where: str, variant: Variant, fix: str) -> Iterator[Finding]:
    """Size and hashes of an encoder's files."""
    hashes = {variant.file: variant.sha256}
    if variant.weights:
        hashes[variant.weights] = variant.weights_sha256
    missing = [name for name in hashes if not (folder / name).is_file()]
    if missing:
        yield Finding(f"{where}/{missing[0]}", "missing", fix)
    elif (size := sum((folder / name).stat().st_size for name in hashes)) != variant.bytes:
        both = f" with {variant.weights}" if variant.weights else ""
        yield Finding(f"{where}/{variant.file}", f"{size} bytes{both}, the manifest says {variant.bytes}", fix)
    for name in hashes.keys() - set(missing):
        if sha256_of(folder / name) != hashes[name]:
            yield Finding(f"{where}/{name}", "its sha256 is not the manifest's", fix)


def _graph_rules(
    folder: Path, where: str, manifest: Manifest, variant: Variant, onnx: ModuleType, fix: str
) -> Iterator[Finding]:
    """Inputs and outputs of an encoder's ONNX graph."""
    file = f"{where}/{variant.file}"
    try:
        graph = onnx.load(str(folder / variant.file), load_external_data=False).graph
    except DecodeError:
        yield Finding(file, "no ONNX graph", fix)
        return
    if tensorrt_precision(variant):
        yield from quantization_rules(file, onnx, graph, fix)
    tensors = graph_tensors(onnx, graph)
    yield from name_rules(file, tensors, fix)
    wanted = config_tensors(model_config.encoder_config(manifest, variant))
    yield from contract_rules(file, tensors, wanted, _by(manifest), fix)


def graph_tensors(onnx: ModuleType, graph: GraphProto) -> Tensors:
    """Inputs and outputs of a graph, symbolic dimensions as -1."""
    initializers = {tensor.name for tensor in graph.initializer}
    tensors: dict[tuple[Side, str], Tensor] = {}
    sides: tuple[Side, Side] = ("input", "output")
    for side in sides:
        for value in (value for value in getattr(graph, side) if value.name not in initializers):
            tensor = value.type.tensor_type
            dtype = onnx.TensorProto.DataType.Name(tensor.elem_type)
            shape = tuple(dim.dim_value if dim.HasField("dim_value") else -1 for dim in tensor.shape.dim)
            tensors[side, value.name] = Tensor(ONNX_TYPES.get(dtype, dtype), shape)
    return tensors
