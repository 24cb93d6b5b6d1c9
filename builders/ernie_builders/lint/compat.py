"""Rules on compat ensembles: they are what --compat makes for the task as it is published now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ernie_runtime.manifest import Manifest
from ernie_runtime.triton.paddlenlp import FORM_PARAMETER

from ..compat.models import configs
from ..compat.paddlenlp import FORMS, MODELS, NAME
from ..repository.model_config import PORTABLE
from ..repository.origin import FILE, VERSION, Origin, read_origin
from .rules import Finding, Model, config_tensors, contract_rules


def find_compat(models: Mapping[str, Model]) -> dict[str, Origin]:
    """Name of every compat model -> its origin; such models belong to no task."""
    found = ((name, read_origin(models[name].folder)) for name in MODELS if name in models)
    return {name: origin for name, origin in found if origin is not None}


def compat_rules(
    models: Mapping[str, Model], origins: Mapping[str, Origin], members: Mapping[str, Manifest]
) -> Iterator[Finding]:
    """Origins, versions and tensors; `ensemble_rules` checks the steps, as of any ensemble."""
    for name, origin in origins.items():
        model, at = models[name], f"{name}/{VERSION}/{FILE}"
        form = FORMS.get(origin.ensemble)
        if origin.format != NAME or form is None or name not in (form.ensemble, form.step):
            yield Finding(at, f"no form of {NAME} has the model {name}", "delete the folder")
            continue
        if model.versions != [VERSION]:
            yield Finding(name, f"has versions {model.versions}, its clients ask for {VERSION}", "delete the others")
        manifest = members.get(origin.task)
        if manifest is None:
            yield Finding(at, f"task {origin.task} is not in this repository", "delete the folder, or publish the task")
        elif manifest.kind not in form.kinds:
            fix = f"delete the folder, or build another task with --compat {NAME}"
            yield Finding(at, f"task {origin.task} is {manifest.kind}, it takes {' or '.join(form.kinds)}", fix)
        elif PORTABLE in model.configs:
            wanted = configs(form, origin.task, manifest.kind)[name]
            yield from _config_rules(model, model.configs[PORTABLE], wanted, origin)


def _config_rules(model: Model, config: Any, wanted: Any, origin: Origin) -> Iterator[Finding]:
    where, by = f"{model.name}/{PORTABLE}", f"PaddleNLP's client of {origin.ensemble}"
    yield from contract_rules(where, config_tensors(config), config_tensors(wanted), by, model.again)
    inputs, asked = ([tensor.name for tensor in c.input] for c in (config, wanted))
    if inputs != asked and sorted(inputs) == sorted(asked):
        yield Finding(where, f"inputs are not in the order {', '.join(asked)}, by which clients fill them", model.again)
    for field in ("backend", "max_batch_size"):
        is_, right = getattr(config, field), getattr(wanted, field)
        if is_ != right:
            yield Finding(where, f"{field} is {is_!r}, --compat {NAME} writes {right!r}", model.again)
    form, right = (c.parameters[FORM_PARAMETER].string_value for c in (config, wanted))
    if form != right:
        yield Finding(where, f"parameter {FORM_PARAMETER} is {form!r}, not {right!r}", model.again)
    steps, right = ([step.model_name for step in c.ensemble_scheduling.step] for c in (config, wanted))
    if steps != right:
        yield Finding(where, f"its steps are {', '.join(steps)}, not {', '.join(right)} as {FILE} says", model.again)
