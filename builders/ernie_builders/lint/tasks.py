"""Rules on a task's models together: all there, of one version, files and graphs as the manifest says."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError

from ernie_runtime.errors import VocabularyError
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.names import (
    MANIFEST_PARAMETER,
    encoder_model,
    fused_model,
    postprocess_model,
    tokenizer_model,
    variant_ensemble,
)
from ernie_runtime.text.tokenization import ErnieTokenizer

from ..repository import model_config
from .rules import Finding, Model, Tensors, config_tensors, contract_rules, name_rules
from .steps import fused_rules

MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
ONNX_TYPES = {"FLOAT": "FP32", "FLOAT16": "FP16", "DOUBLE": "FP64", "BFLOAT16": "BF16"}


def task_models(manifest: Manifest) -> dict[str, Variant | None]:
    """Names of the models a task is published as; encoders and ensembles with their variant."""
    task = manifest.task
    names: dict[str, Variant | None] = {tokenizer_model(task): None, postprocess_model(task): None}
    for variant in manifest.variants:
        names |= {encoder_model(task, variant.name): variant, variant_ensemble(task, variant.name): variant}
    if model_config.is_fused(manifest):
        names[fused_model(task)] = manifest.variant(manifest.recommended)
    return {**names, task: manifest.variant(manifest.recommended)}


def manifest_text(model: Model, number: int) -> str:
    """manifest.json of one version, which has loaded before."""
    return (model.folder / str(number) / MANIFEST).read_text(encoding="utf-8")


def shared_text(model: Model, number: int) -> str:
    """What all models of a version say alike: which variant is recommended is the plain ensemble's alone to say."""
    manifest = model.manifests[number]
    return replace(manifest, recommended=manifest.variants[0].name).to_json()


def find_members(models: Mapping[str, Model]) -> dict[str, Manifest]:
    """Name of every model that the tasks here should have -> its task's newest manifest."""
    newest: dict[str, tuple[tuple[int, bool], Manifest]] = {}
    for model in models.values():
        for number, manifest in model.manifests.items():
            rank = number, model.name == manifest.task
            if model.name in task_models(manifest) and (manifest.task not in newest or rank > newest[manifest.task][0]):
                newest[manifest.task] = rank, manifest
    return {name: manifest for _, manifest in newest.values() for name in task_models(manifest)}


def task_rules(models: Mapping[str, Model], members: Mapping[str, Manifest], onnx: Any) -> Iterator[Finding]:
    """A task's models are all there, of one version, and match the manifest."""
    for name in models.keys() - members.keys():
        if models[name].manifests or not any(models[name].folder.glob(f"*/{MANIFEST}")):
            yield Finding(name, "belongs to no task here", "delete the folder, or publish its task")
    for name in members.keys() - models.keys():
        yield Finding(name, "the model is missing", f"publish {members[name].task} again")
    latest: Counter[str] = Counter()
    texts: dict[tuple[str, int], Counter[str]] = {}
    for name in models.keys() & members.keys():
        task = members[name].task
        latest[task] = max(latest[task], *models[name].versions, 0)
        for number in models[name].manifests:
            texts.setdefault((task, number), Counter())[shared_text(models[name], number)] += 1
    for name in models.keys() & members.keys():
        model, manifest = models[name], members[name]
        if model.versions and model.versions[-1] != latest[manifest.task]:
            problem = f"newest version is {model.versions[-1]}, the task's is {latest[manifest.task]}"
            yield Finding(name, problem, model.again)
        for number in model.versions:
            at = f"{name}/{number}/{MANIFEST}"
            if number in model.manifests:
                if shared_text(model, number) != texts[manifest.task, number].most_common(1)[0][0]:
                    yield Finding(at, "differs from the task's other models of this version", model.again)
                if model.manifests[number].version != number:
                    problem = f"says version {model.manifests[number].version}, its directory {number}"
                    yield Finding(at, problem, model.again)
                yield from version_rules(model, model.manifests[number], number, onnx)
            elif not (model.folder / str(number) / MANIFEST).exists():
                yield Finding(at, "missing", model.again)
        if name == fused_model(manifest.task):
            yield from fused_rules(model, models, manifest)
        else:
            yield from member_rules(model, manifest, task_models(manifest)[name])


def member_rules(model: Model, manifest: Manifest, variant: Variant | None) -> Iterator[Finding]:
    """The configurations of an encoder or ensemble against the task's newest manifest."""
    fix, by = model.again, f"the manifest ({len(manifest.labels)} labels)"
    for file, config in model.configs.items() if variant else ():
        assert variant is not None
        where, encoder = f"{model.name}/{file}", encoder_model(manifest.task, variant.name)
        if model.name == encoder:
            wanted = model_config.encoder_config(manifest, variant, False)
            for field in ("backend", "default_model_filename"):
                is_, asked = getattr(config, field), getattr(wanted, field)
                if is_ != asked:
                    yield Finding(where, f"{field} is {is_!r}, the manifest says {asked!r}", fix)
        else:
            wanted = model_config.ensemble_config(manifest, model.name, variant)
            if encoder not in {step.model_name for step in config.ensemble_scheduling.step}:
                yield Finding(where, f"has no step {encoder}, the manifest's variant {variant.name}", fix)
            text = config.parameters[MANIFEST_PARAMETER].string_value
            number = max(model.versions, default=0)
            if number in model.manifests and text != manifest_text(model, number):
                yield Finding(where, f"parameter manifest is not {number}/{MANIFEST}", fix)
        yield from contract_rules(where, config_tensors(config), config_tensors(wanted), by, fix)


def version_rules(model: Model, manifest: Manifest, number: int, onnx: Any) -> Iterator[Finding]:
    """Vocabulary and encoder file of one version against its manifest."""
    home, where, fix = model.folder / str(number), f"{model.name}/{number}", model.again
    if model.name == tokenizer_model(manifest.task) and (home / TOKENIZER).is_file():
        at = f"{where}/{TOKENIZER}"
        try:
            tokenizer = ErnieTokenizer.from_file(home / TOKENIZER)
        except VocabularyError as error:
            yield Finding(at, str(error).removeprefix(f"{home / TOKENIZER}: "), fix)
            return
        if tokenizer.vocab_size != manifest.vocabulary_size:
            problem = f"has {tokenizer.vocab_size} tokens, the manifest says {manifest.vocabulary_size}"
            yield Finding(at, problem, fix)
        if tokenizer.fingerprint != manifest.vocabulary_sha256:
            yield Finding(at, "its tokens are not those of the manifest's vocabulary_sha256", fix)
    for variant in manifest.variants:
        path, at = home / variant.file, f"{where}/{variant.file}"
        if model.name != encoder_model(manifest.task, variant.name) or not path.is_file():
            continue
        hashes = {
            variant.file: variant.sha256,
            **({variant.weights: variant.weights_sha256} if variant.weights else {}),
        }
        missing = [name for name in hashes if not (home / name).is_file()]
        if missing:
            yield Finding(f"{where}/{missing[0]}", "missing", fix)
        elif (size := sum((home / name).stat().st_size for name in hashes)) != variant.bytes:
            both = f" with {variant.weights}" if variant.weights else ""
            yield Finding(at, f"{size} bytes{both}, the manifest says {variant.bytes}", fix)
        for name in hashes.keys() - set(missing):
            if hashlib.sha256((home / name).read_bytes()).hexdigest() != hashes[name]:
                yield Finding(f"{where}/{name}", "its sha256 is not the manifest's", fix)
        if onnx is not None and path.suffix == ".onnx":
            try:
                found = onnx_tensors(onnx, path)
            except DecodeError:
                yield Finding(at, "no ONNX graph", fix)
                continue
            yield from name_rules(at, found, fix)
            wanted = config_tensors(model_config.encoder_config(manifest, variant, False))
            yield from contract_rules(at, found, wanted, f"the manifest ({len(manifest.labels)} labels)", fix)


def onnx_tensors(onnx: Any, path: Path) -> Tensors:
    """Inputs and outputs of a graph, symbolic dimensions as -1."""
    graph = onnx.load(str(path), load_external_data=False).graph
    held = {tensor.name for tensor in graph.initializer}
    found = {}
    for side, values in (("input", graph.input), ("output", graph.output)):
        for value in (v for v in values if v.name not in held):
            tensor = value.type.tensor_type
            kind = onnx.TensorProto.DataType.Name(tensor.elem_type)
            shape = tuple(d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim)
            found[side, value.name] = (ONNX_TYPES.get(kind, kind), shape)
    return found
