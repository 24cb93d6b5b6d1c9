"""Rules on ensembles: the steps exist, fit each other and the ensemble's own inputs and outputs, in each flavour."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.steps.tokenizer import MAX_WINDOWS_PARAMETER
from ernie_runtime.text.windows import MAX_WINDOWS

from ..config.serving import TOKENIZER
from .model import Finding, Model
from .tensors import Side, Tensor, config_tensors, dims_text, shapes_agree


@dataclass(frozen=True, kw_only=True)
class Port:
    """One end of a link; `file` and `tensor` are empty for a model whose configuration is unknown."""

    owner: str
    file: str
    name: str  # "input logits"
    tensor: Tensor | None


@dataclass(kw_only=True)
class Links:
    """An ensemble's tensors, by name: who makes them and who takes them."""

    makers: dict[str, Port] = field(default_factory=dict)
    takers: list[tuple[str, Port]] = field(default_factory=list)
    made_in: dict[str, int] = field(default_factory=dict)  # tensor -> number of the step


def ensemble_rules(model: Model, models: Mapping[str, Model], flavour: str) -> Iterator[Finding]:
    """All rules on one ensemble in one flavour; nothing for another model."""
    served = model.served(flavour)
    if served is None or not served.config.HasField("ensemble_scheduling"):
        return
    file, config = served
    steps, links = config.ensemble_scheduling.step, Links()
    for (side, name), tensor in config_tensors(config).items():
        port = Port(owner=f"ensemble {model.name}", file=file, name=f"{side} {name}", tensor=tensor)
        if side == "input":
            links.makers[name] = port
        else:
            links.takers.append((name, port))
    for number, step in enumerate(steps):
        step_model = models.get(step.model_name)
        step_served = step_model.served(flavour) if step_model is not None else None
        yield from _step_rules(model, served.file, config, step, step_model, step_served and step_served.config)
        tensors = config_tensors(step_served.config) if step_served else None
        for side, names in _sides(step):
            for key, name in names.items():
                if tensors is not None and (side, key) not in tensors:
                    yield Finding(file, f"step {step.model_name} has no {side} {key}", model.republish)
                port = Port(
                    owner=step.model_name,
                    file=step_served.file if step_served else "",
                    name=f"{side} {key}",
                    tensor=(tensors or {}).get((side, key)),
                )
                if side == "input":
                    links.takers.append((name, port))
                elif name in links.makers:
                    both = f"{links.makers[name].owner} and {port.owner}"
                    yield Finding(file, f"tensor {name} is made by {both}", model.republish)
                else:
                    links.makers[name], links.made_in[name] = port, number
    yield from _padding_rules(model, models, flavour, steps)
    yield from _window_rules(model, models, flavour, steps)
    yield from _link_rules(file, links, model.republish)
    inputs = {n: {links.made_in[t] for t in s.input_map.values() if t in links.made_in} for n, s in enumerate(steps)}
    try:
        TopologicalSorter(inputs).prepare()
    except CycleError as error:
        loop = " -> ".join(steps[number].model_name for number in error.args[1])
        yield Finding(file, f"its steps wait for each other ({loop})", model.republish)


def _sides(step: pb.ModelEnsembling.Step) -> tuple[tuple[Side, Mapping[str, str]], ...]:
    """A step's maps from its own tensors to the ensemble's."""
    return ("input", step.input_map), ("output", step.output_map)


def _step_rules(
    model: Model,
    file: str,
    config: pb.ModelConfig,
    step: pb.ModelEnsembling.Step,
    step_model: Model | None,
    step_config: pb.ModelConfig | None,
) -> Iterator[Finding]:
    """A step's model is there, in that version, takes batches as large, and gets all of its inputs."""
    fix = model.republish
    if step_model is None:
        yield Finding(file, f"step {step.model_name} is no model of this repository", fix)
    elif step.model_version != -1 and step.model_version not in step_model.versions:
        problem = f"step {step_model.name} asks for version {step.model_version}, there is {step_model.versions}"
        yield Finding(file, problem, f"set model_version -1 or {fix}")
    if step_config is None:
        return
    required = {tensor.name for tensor in step_config.input if not tensor.optional}
    for name in required - set(step.input_map):
        yield Finding(file, f"step {step_config.name}: its input {name} is not mapped", fix)
    if config.max_batch_size > step_config.max_batch_size:
        problem = f"max_batch_size {config.max_batch_size} is above its step {step_config.name}'s"
        yield Finding(file, f"{problem} {step_config.max_batch_size}", fix)


def _padding_rules(
    model: Model, models: Mapping[str, Model], flavour: str, steps: Sequence[pb.ModelEnsembling.Step]
) -> Iterator[Finding]:
    """No step pads requests to buckets where another one takes ragged requests."""
    configs = [models[step.model_name].served(flavour) for step in steps if step.model_name in models]
    served = [config for config in configs if config is not None]
    ragged = [config.name for _, config in served if any(tensor.allow_ragged_batch for tensor in config.input)]
    for file, config in served if ragged else ():
        if "buckets" in config.parameters and config.parameters["buckets"].string_value:
            problem = f"parameter buckets pads requests, but {ragged[0]} takes ragged ones in this flavour"
            yield Finding(file, problem, f"remove the parameter or {model.republish}")


def _window_rules(
    model: Model, models: Mapping[str, Model], flavour: str, steps: Sequence[pb.ModelEnsembling.Step]
) -> Iterator[Finding]:
    """The tokenizer makes no more windows of a request than the other steps take rows."""
    configs = [models[step.model_name].served(flavour) for step in steps if step.model_name in models]
    served = [config for config in configs if config is not None]
    for file, config in served:
        if config.backend != TOKENIZER:
            continue
        text = config.parameters[MAX_WINDOWS_PARAMETER].string_value or str(MAX_WINDOWS)
        if not text.isdecimal() or int(text) < 1:
            yield Finding(file, f"parameter {MAX_WINDOWS_PARAMETER} is {text!r}, not a number from 1", model.republish)
            continue
        for _, other in served:
            if other.backend != TOKENIZER and other.max_batch_size < int(text):
                problem = f"{MAX_WINDOWS_PARAMETER} is {text}, but {other.name} takes {other.max_batch_size} rows"
                yield Finding(file, problem, model.republish)


def _link_rules(file: str, links: Links, fix: str) -> Iterator[Finding]:
    """Each tensor of an ensemble is made, used, and the same on both ends."""
    for name in links.makers.keys() - {name for name, _ in links.takers}:
        yield Finding(file, f"tensor {name} of {links.makers[name].owner} is used by nothing", fix)
    for name, taker in links.takers:
        maker = links.makers.get(name)
        if maker is None:
            yield Finding(file, f"tensor {name} ({taker.name} of {taker.owner}) is made by nothing", fix)
        elif maker.tensor and taker.tensor:
            made, taken = maker.tensor, taker.tensor
            if made.dtype != taken.dtype:
                yield Finding(taker.file, f"{taker.name} is {taken.dtype}, {maker.owner} gives {made.dtype}", fix)
            if not shapes_agree(made.shape, taken.shape):
                problem = f"{taker.name} has dims {dims_text(taken.shape)}, {maker.owner} gives {dims_text(made.shape)}"
                yield Finding(taker.file, problem, fix)
