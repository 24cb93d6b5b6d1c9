"""Rules on what configurations say and how they fit each other: one model, a tensor contract, an ensemble.

Each rule gives findings over models as `lint.repository` read them, which has the rules on files and manifests.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Any

from ernie_runtime.engines import ENGINES
from ernie_runtime.manifest import Manifest
from ernie_runtime.repository import versions

from ..repository import model_config
from ..repository.origin import read_origin

BACKENDS: Mapping[str, tuple[str, ...]] = {  # backend -> files it loads from a version directory by default
    "ernie_tokenizer": ("tokenizer.json",),
    "ernie_postprocess": (),
    "ernie_compat": (),
    "ernie_pipeline": (),
    **{engine.backend: engine.files for engine in ENGINES.values()},
    "tensorrt": ("model.plan",),
    "python": ("model.py",),
}
AUTO_NAME = re.compile(
    r"^(p2o\.|save_infer_model|fetch_name_|feed_name_|onnx::|_generated_var|x\d+$|\d+$)|\.tmp(_\d+)?$"
    r"|^(input|output|tensor|var|args?|identity|linear|matmul|add|softmax|reshape)[_.:]{0,2}\d+$",
    re.IGNORECASE,
)
Shape = tuple[int, ...]
# ("input" or "output", name) -> Triton dtype, shape with the batch dimension
Tensors = Mapping[tuple[str, str], tuple[str, Shape]]


@dataclass(frozen=True, order=True)
class Finding:
    """One fault: `file` from the repository's root on."""

    file: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}: {self.fix}"


@dataclass(frozen=True)
class Model:
    """One model directory: configurations that parse, by file, and manifests that load, by version."""

    folder: Path
    configs: Mapping[str, Any]
    manifests: Mapping[int, Manifest]
    task: str = ""  # that it belongs to, empty where no manifest tells

    @property
    def name(self) -> str:
        """The directory's name, which Triton wants to be the model's."""
        return self.folder.name

    @cached_property
    def versions(self) -> list[int]:
        """Ascending."""
        return versions(self.folder)

    @property
    def again(self) -> str:
        """The fix of most findings."""
        return f"publish {self.task or re.sub('_(tokenizer|postprocess|fused|encoder_.*)$', '', self.name)} again"

    def served(self, flavour: str) -> tuple[str, Any] | None:
        """File and configuration under `--model-config-name`; Triton falls back to the portable one."""
        file = flavour if (self.folder / flavour).is_file() else model_config.PORTABLE
        return (f"{self.name}/{file}", self.configs[file]) if file in self.configs else None


def dtype(number: int) -> str:
    """INT64 for pb.TYPE_INT64."""
    return model_config.pb.DataType.Name(number).removeprefix("TYPE_")


def agree(left: Sequence[int], right: Sequence[int]) -> bool:
    """Same rank, and every dimension the same or -1 on one side."""
    return len(left) == len(right) and all(a == b or -1 in (a, b) for a, b in zip(left, right, strict=True))


def shown(shape: Shape) -> str:
    """Dims as config.pbtxt writes them, without the batch dimension."""
    return str(list(shape[1:])) if shape[:1] == (-1,) else f"{list(shape)} (no batch dimension)"


def config_tensors(config: Any) -> dict[tuple[str, str], tuple[str, Shape]]:
    """Inputs and outputs of a configuration."""
    batch = (-1,) if config.max_batch_size > 0 else ()
    sides = (("input", config.input), ("output", config.output))
    return {(side, t.name): (dtype(t.data_type), (*batch, *t.dims)) for side, ts in sides for t in ts}


def name_rules(file: str, tensors: Tensors, fix: str) -> Iterator[Finding]:
    """Names are the kind's contract, never what a framework made up."""
    for side, name in tensors:
        if AUTO_NAME.search(name):
            yield Finding(file, f"{side} {name} is a framework's auto-name", f"name it at export, then {fix}")


def contract_rules(file: str, found: Tensors, wanted: Tensors, by: str, fix: str) -> Iterator[Finding]:
    """`found` has the names and dtypes of `wanted`, and its shapes or more general ones."""
    for side, name in wanted.keys() - found.keys():
        yield Finding(file, f"{side} {name} is missing, {by} asks for it", fix)
    for (side, name), tensor in found.items():
        if (side, name) not in wanted:
            if not AUTO_NAME.search(name):
                yield Finding(file, f"{side} {name} is not what {by} asks for", fix)
            continue
        (here, shape), (there, asked) = tensor, wanted[side, name]
        if here != there:
            yield Finding(file, f"{side} {name} is {here}, {by} asks for {there}", fix)
        if len(shape) != len(asked) or any(a not in (b, -1) for a, b in zip(shape, asked, strict=True)):
            yield Finding(file, f"{side} {name} has dims {shown(shape)}, {by} asks for {shown(asked)}", fix)


def config_rules(model: Model, file: str, config: Any) -> Iterator[Finding]:
    """What one configuration says by itself."""
    where, fix, known = f"{model.name}/{file}", model.again, ", ".join(BACKENDS)
    if config.name != model.name:
        yield Finding(where, f"name is {config.name!r}, not the folder's", f"rename the folder or {fix}")
    if (config.platform == "ensemble") != config.HasField("ensemble_scheduling"):
        yield Finding(where, "platform ensemble and ensemble_scheduling go together, one is missing", fix)
    elif config.platform not in ("", "ensemble"):
        yield Finding(where, f"unknown platform {config.platform!r}", f"set backend to one of {known}")
    elif not config.platform and config.backend not in BACKENDS:
        problem = f"unknown backend {config.backend!r}" if config.backend else "backend is missing"
        yield Finding(where, problem, f"set backend to one of {known}")
    if config.max_batch_size < 1:
        yield Finding(where, f"max_batch_size is {config.max_batch_size}, so nothing is batched", fix)
    if read_origin(model.folder) is None:  # else the names are those that another project's clients ask for
        yield from name_rules(where, config_tensors(config), fix)


@dataclass(frozen=True)
class Port:
    """One end of a link in an ensemble; of a model whose configuration is not known, only `owner`."""

    owner: str
    file: str = ""
    what: str = ""
    tensor: tuple[str, Shape] | None = None


def ensemble_rules(model: Model, models: Mapping[str, Model], flavour: str) -> Iterator[Finding]:
    """The steps of an ensemble fit each other and its own inputs and outputs, in one flavour."""
    served = model.served(flavour)
    if served is None or not served[1].HasField("ensemble_scheduling"):
        return
    (file, config), fix = served, model.again
    mine, steps = config_tensors(config), config.ensemble_scheduling.step
    makers: dict[str, Port] = {}
    takers: list[tuple[str, Port]] = []
    made_in: dict[str, int] = {}
    for (side, name), tensor in mine.items():
        port = Port(f"ensemble {model.name}", file, f"{side} {name}", tensor)
        if side == "input":
            makers[name] = port
        else:
            takers.append((name, port))
    padded: list[str] = []
    ragged = ""
    for number, step in enumerate(steps):
        used, tensors, at, its = models.get(step.model_name), {}, "", None
        if used is None:
            yield Finding(file, f"step {step.model_name} is no model of this repository", fix)
        else:
            if step.model_version != -1 and step.model_version not in used.versions:
                problem = f"step {used.name} asks for version {step.model_version}, there is {used.versions}"
                yield Finding(file, problem, f"set model_version -1 or {fix}")
            at, its = used.served(flavour) or ("", None)
        if its is not None:
            tensors = config_tensors(its)
            if "buckets" in its.parameters and its.parameters["buckets"].string_value:
                padded.append(at)
            ragged = ragged or next((its.name for t in its.input if t.allow_ragged_batch), "")
            optional = {t.name for t in its.input if t.optional}
            for name in {n for s, n in tensors if s == "input"} - optional - set(step.input_map):
                yield Finding(file, f"step {its.name}: its input {name} is not mapped", fix)
            if config.max_batch_size > its.max_batch_size:
                problem = f"max_batch_size {config.max_batch_size} is above its step {its.name}'s"
                yield Finding(file, f"{problem} {its.max_batch_size}", fix)
        for side, links in (("input", step.input_map), ("output", step.output_map)):
            for key, name in links.items():
                if its is not None and (side, key) not in tensors:
                    yield Finding(file, f"step {step.model_name} has no {side} {key}", fix)
                port = Port(step.model_name, at, f"{side} {key}", tensors.get((side, key)))
                if side == "input":
                    takers.append((name, port))
                elif name in makers:
                    both = f"{makers[name].owner} and {port.owner}"
                    yield Finding(file, f"tensor {name} is made by {both}", fix)
                else:
                    makers[name], made_in[name] = port, number
    for at in padded if ragged else ():
        problem = f"parameter buckets pads requests, but {ragged} takes ragged ones in this flavour"
        yield Finding(at, problem, f"remove the parameter or {fix}")
    yield from link_rules(file, makers, takers, fix)
    order = {n: {made_in[v] for v in step.input_map.values() if v in made_in} for n, step in enumerate(steps)}
    try:
        TopologicalSorter(order).prepare()
    except CycleError as error:
        loop = " -> ".join(steps[n].model_name for n in error.args[1])
        yield Finding(file, f"its steps wait for each other ({loop})", fix)


def link_rules(
    file: str, makers: Mapping[str, Port], takers: Sequence[tuple[str, Port]], fix: str
) -> Iterator[Finding]:
    """Each ensemble tensor is made once, used, and the same on both ends."""
    for name in makers.keys() - {name for name, _ in takers}:
        yield Finding(file, f"tensor {name} of {makers[name].owner} is used by nothing", fix)
    for name, taker in takers:
        maker = makers.get(name)
        if maker is None:
            yield Finding(file, f"tensor {name} ({taker.what} of {taker.owner}) is made by nothing", fix)
        elif maker.tensor and taker.tensor:
            (gives, shape), (takes, asked) = maker.tensor, taker.tensor
            if gives != takes:
                yield Finding(taker.file, f"{taker.what} is {takes}, {maker.owner} gives {gives}", fix)
            if not agree(shape, asked):
                problem = f"{taker.what} has dims {shown(asked)}, {maker.owner} gives {shown(shape)}"
                yield Finding(taker.file, problem, fix)
