"""Rules on T_fused: it stands for the same variant as T, and the files that it reads from other models are there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ernie_runtime.manifest import Manifest

from . import triton_config as tc
from .lint_rules import Finding, Model, config_tensors, contract_rules


def fused_rules(model: Model, models: Mapping[str, Model], manifest: Manifest) -> Iterator[Finding]:
    """The configurations and versions of T_fused against the task's newest manifest, which is its ensemble's."""
    variant, by = manifest.variant(manifest.recommended), f"the manifest ({len(manifest.labels)} labels)"
    wanted = tc.fused_config(manifest, variant)
    for file, config in model.configs.items():
        where = f"{model.name}/{file}"
        if config.backend != wanted.backend:
            yield Finding(where, f"backend is {config.backend!r}, not {wanted.backend!r}", model.again)
        named = config.parameters["variant"].string_value
        if named != variant.name:
            fix = f"`ernie-triton compare {manifest.task} --pick {variant.name}`"
            yield Finding(where, f"runs variant {named!r}, the task recommends {variant.name}", fix)
        own = model.manifests.get(max(model.versions, default=0))
        if own and config.parameters[tc.MANIFEST_PARAMETER].string_value != tc.fused_manifest(own).to_json():
            problem = f"parameter manifest is not {model.versions[-1]}/manifest.json as task {model.name}"
            yield Finding(where, problem, model.again)
        yield from contract_rules(where, config_tensors(config), config_tensors(wanted), by, model.again)
    encoder = tc.encoder_name(manifest.task, variant.name)
    read = {tc.tokenizer_name(manifest.task): "tokenizer.json", encoder: variant.file}
    for name, file in read.items():
        at = f"{name}/{manifest.version}/{file}"
        if name in models and not (models[name].folder / str(manifest.version) / file).exists():
            yield Finding(model.name, f"reads {at}, which is missing", model.again)
