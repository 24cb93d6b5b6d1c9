"""Rules on warm-up requests: their files are there and hold what the configuration says."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ernie_runtime.manifest import Manifest
from ernie_runtime.names import MANIFEST_PARAMETER, encoder_model, tokenizer_model

from ..repository import model_config
from .rules import Finding, Model, agree, config_tensors, contract_rules

SIZES = {"BOOL": 1, "INT8": 1, "UINT8": 1, "FP16": 2, "BF16": 2, "INT32": 4, "FP32": 4, "INT64": 8, "FP64": 8}


def warmup_rules(model: Model, where: str, config: Any, request: Any) -> Iterator[Finding]:
    """A warm-up request fits the inputs, and its files are there and have the right size."""
    fix, tensors = model.again, {t.name: t for t in config.input}
    for name in tensors.keys() - set(request.inputs) - {t.name for t in config.input if t.optional}:
        yield Finding(where, f"model_warmup {request.name} lacks input {name}", fix)
    for name, data in request.inputs.items():
        what, kind = f"model_warmup {request.name}, input {name}", model_config.pb.DataType.Name(data.data_type)
        its = tensors.get(name)
        if its is None or its.data_type != data.data_type or not agree(its.dims, data.dims):
            yield Finding(
                where, f"model_warmup gives input {name} {kind} {list(data.dims)}, which does not fit it", fix
            )
        if data.input_data_file:
            path = model.folder / "warmup" / data.input_data_file
            at = f"{model.name}/warmup/{data.input_data_file}"
            problem = warmup_fault(path.read_bytes(), kind, data.dims) if path.is_file() else "missing"
            if problem:
                yield Finding(at, f"{problem} ({what})", fix)


def warmup_fault(content: bytes, kind: str, dims: Sequence[int]) -> str:
    """What is wrong with the raw tensor in a warm-up file, one row; empty where it is right."""
    count, size = math.prod(dims), SIZES.get(kind.removeprefix("TYPE_"))
    if kind != "TYPE_STRING":
        right = size is None or len(content) == count * size
        return "" if right else f"{len(content)} bytes, {kind} {list(dims)} takes {count * (size or 0)}"
    position = found = 0
    while position + 4 <= len(content):
        position += 4 + int.from_bytes(content[position : position + 4], "little")
        found += 1
    if position != len(content):
        return f"length prefixes end at byte {position} of {len(content)}"
    return "" if found == count else f"holds {found} strings, {list(dims)} takes {count}"


def fused_rules(model: Model, models: Mapping[str, Model], manifest: Manifest) -> Iterator[Finding]:
    """The configurations and versions of T_fused against the task's newest manifest, which is its ensemble's."""
    variant, by = manifest.variant(manifest.recommended), f"the manifest ({len(manifest.labels)} labels)"
    wanted = model_config.fused_config(manifest, variant)
    for file, config in model.configs.items():
        where = f"{model.name}/{file}"
        if config.backend != wanted.backend:
            yield Finding(where, f"backend is {config.backend!r}, not {wanted.backend!r}", model.again)
        named = config.parameters["variant"].string_value
        if named != variant.name:
            fix = f"`ernie-triton compare {manifest.task} --pick {variant.name}`"
            yield Finding(where, f"runs variant {named!r}, the task recommends {variant.name}", fix)
        own = model.manifests.get(max(model.versions, default=0))
        if own and config.parameters[MANIFEST_PARAMETER].string_value != model_config.fused_manifest(own).to_json():
            problem = f"parameter manifest is not {model.versions[-1]}/manifest.json as task {model.name}"
            yield Finding(where, problem, model.again)
        yield from contract_rules(where, config_tensors(config), config_tensors(wanted), by, model.again)
    encoder = encoder_model(manifest.task, variant.name)
    read = {tokenizer_model(manifest.task): "tokenizer.json", encoder: variant.file}
    for name, file in read.items():
        at = f"{name}/{manifest.version}/{file}"
        if name in models and not (models[name].folder / str(manifest.version) / file).exists():
            yield Finding(model.name, f"reads {at}, which is missing", model.again)
