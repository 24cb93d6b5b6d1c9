"""Rules on compat models: they are what --compat makes for the task as it is published now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.manifest import Manifest
from ernie_runtime.triton.paddlenlp import FORM_PARAMETER

from ..compat.paddlenlp import FORMS, MODELS, NAME, configs
from ..repository.model_config import PORTABLE
from ..repository.origin import FILE, VERSION, Origin, read_origin
from .model import Finding, Model
from .tensors import config_tensors, contract_rules


def compat_models(models: Mapping[str, Model]) -> dict[str, Origin]:
    """Name of every compat model -> its origin; such models belong to no task."""
    origins = ((name, read_origin(models[name].folder)) for name in MODELS if name in models)
    return {name: origin for name, origin in origins if origin is not None}


def compat_rules(
    models: Mapping[str, Model], origins: Mapping[str, Origin], expected: Mapping[str, Manifest]
) -> Iterator[Finding]:
    """Origins, versions and tensors; `ensemble_rules` checks the steps, as of any ensemble."""
    for name, origin in origins.items():
        model, file = models[name], f"{name}/{VERSION}/{FILE}"
        form = FORMS.get(origin.ensemble)
        if origin.format != NAME or form is None or name not in (form.ensemble, form.step):
            yield Finding(file, f"no form of {NAME} has the model {name}", "delete the folder")
            continue
        if model.versions != [VERSION]:
            yield Finding(name, f"has versions {model.versions}, its clients ask for {VERSION}", "delete the others")
        manifest = expected.get(origin.task)
        if manifest is None:
            fix = "delete the folder, or publish the task"
            yield Finding(file, f"task {origin.task} is not in this repository", fix)
        elif manifest.kind not in form.kinds:
            fix = f"delete the folder, or build another task with --compat {NAME}"
            yield Finding(file, f"task {origin.task} is {manifest.kind}, it takes {' or '.join(form.kinds)}", fix)
        elif PORTABLE in model.configs:
            wanted = configs(form, origin.task, manifest.kind)[name]
            yield from _config_rules(model, model.configs[PORTABLE], wanted, origin)


def _config_rules(model: Model, config: pb.ModelConfig, wanted: pb.ModelConfig, origin: Origin) -> Iterator[Finding]:
    """The configuration is what `--compat` writes."""
    file, fix = f"{model.name}/{PORTABLE}", model.republish
    by = f"PaddleNLP's client of {origin.ensemble}"
    yield from contract_rules(file, config_tensors(config), config_tensors(wanted), by, fix)
    inputs, wanted_inputs = ([tensor.name for tensor in side.input] for side in (config, wanted))
    if inputs != wanted_inputs and sorted(inputs) == sorted(wanted_inputs):
        order = ", ".join(wanted_inputs)
        yield Finding(file, f"inputs are not in the order {order}, by which clients fill them", fix)
    for field in ("backend", "max_batch_size"):
        value, wanted_value = getattr(config, field), getattr(wanted, field)
        if value != wanted_value:
            yield Finding(file, f"{field} is {value!r}, --compat {NAME} writes {wanted_value!r}", fix)
    form, wanted_form = (side.parameters[FORM_PARAMETER].string_value for side in (config, wanted))
    if form != wanted_form:
        yield Finding(file, f"parameter {FORM_PARAMETER} is {form!r}, not {wanted_form!r}", fix)
    steps, wanted_steps = ([step.model_name for step in c.ensemble_scheduling.step] for c in (config, wanted))
    if steps != wanted_steps:
        problem = f"its steps are {', '.join(steps)}, not {', '.join(wanted_steps)} as {FILE} says"
        yield Finding(file, problem, fix)
