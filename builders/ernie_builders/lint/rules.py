"""Rules on one model alone: its configuration, its files, its warm-up requests; and on stray files beside models."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.engines import ENGINES
from ernie_runtime.names import TOKENIZER_FILE

from ..repository import portable
from ..repository.model_config import PORTABLE
from ..repository.origin import read_origin
from ..repository.packed_config import PACKED
from .model import Finding, Model
from .tensors import config_tensors, name_rules, shapes_agree

ROOT_FILES = ("README.md", ".gitignore", ".gitkeep")
BACKENDS: Mapping[str, tuple[str, ...]] = {  # backend -> files it loads from a version directory by default
    "ernie_tokenizer": (TOKENIZER_FILE,),
    "ernie_postprocess": (),
    "ernie_compat": (),
    "ernie_pipeline": (),
    **{engine.backend: engine.files for engine in ENGINES.values()},
    "tensorrt": ("model.plan",),
    "python": ("model.py",),
}
BYTES = {"BOOL": 1, "INT8": 1, "UINT8": 1, "FP16": 2, "BF16": 2, "INT32": 4, "FP32": 4, "INT64": 8, "FP64": 8}


def config_rules(model: Model, file: str, config: pb.ModelConfig) -> Iterator[Finding]:
    """What one configuration says by itself."""
    where, fix, backends = f"{model.name}/{file}", model.republish, ", ".join(BACKENDS)
    if config.name != model.name:
        yield Finding(where, f"name is {config.name!r}, not the folder's", f"rename the folder or {fix}")
    if (config.platform == "ensemble") != config.HasField("ensemble_scheduling"):
        yield Finding(where, "platform ensemble and ensemble_scheduling go together, one is missing", fix)
    elif config.platform not in ("", "ensemble"):
        yield Finding(where, f"unknown platform {config.platform!r}", f"set backend to one of {backends}")
    elif not config.platform and config.backend not in BACKENDS:
        problem = f"unknown backend {config.backend!r}" if config.backend else "backend is missing"
        yield Finding(where, problem, f"set backend to one of {backends}")
    if config.max_batch_size < 1:
        yield Finding(where, f"max_batch_size is {config.max_batch_size}, so nothing is batched", fix)
    if file in (PORTABLE, PACKED) and config.backend == portable.ONNX_RUNTIME:
        yield from memory_rules(where, config, fix)
    if read_origin(model.folder) is None:  # a compat model has the names that another project's clients ask for
        yield from name_rules(where, config_tensors(config), fix)


def memory_rules(where: str, config: pb.ModelConfig, fix: str) -> Iterator[Finding]:
    """The C++ backend of ONNX Runtime gives memory back, and its instances do not spin against each other."""
    value = config.parameters["enable_mem_arena"].string_value
    if value not in ("0", "false"):
        yield Finding(where, "enable_mem_arena is not 0, so the memory of the largest batch is kept for good", fix)
    threads = config.parameters["intra_op_thread_count"].string_value
    instances = sum(group.count for group in config.instance_group)
    if threads != "1" and instances != 1:
        problem = f"intra_op_thread_count is {threads or 'all cores'} in each of {instances or 'several'} instances"
        yield Finding(where, f"{problem}, whose threads spin against each other", f"set one of them to 1 or {fix}")


def file_rules(model: Model) -> Iterator[Finding]:
    """The directory holds versions, model files, warm-up files, and nothing else."""
    if not model.versions:
        yield Finding(model.name, "no version directory whose name is a number from 1", model.republish)
    expected = {PORTABLE, "configs", "warmup", *map(str, model.versions)}
    for path in (*model.folder.iterdir(), *model.folder.glob("configs/*")):
        belongs = path.suffix == ".pbtxt" if path.parent != model.folder else path.name in expected
        if not belongs and not is_stray(path):
            yield Finding(f"{model.name}/{path.relative_to(model.folder)}", "no part of a model", "delete it")
    warmup_files: set[str] = set()
    for file, config in model.configs.items():
        default = BACKENDS.get(config.backend, ())
        for name in (config.default_model_filename,) if config.default_model_filename else default:
            for version in model.versions:
                if not (model.folder / str(version) / name).exists():
                    yield Finding(f"{model.name}/{version}/{name}", f"missing, {file} names it", model.republish)
        for request in config.model_warmup:
            warmup_files.update(data.input_data_file for data in request.inputs.values())
            yield from warmup_rules(model, f"{model.name}/{file}", config, request)
    if PORTABLE in model.configs:
        for path in model.folder.glob("warmup/*"):
            if path.name not in warmup_files and not is_stray(path):
                yield Finding(f"{model.name}/warmup/{path.name}", "no model_warmup names it", "delete it")


def warmup_rules(model: Model, where: str, config: pb.ModelConfig, request: pb.ModelWarmup) -> Iterator[Finding]:
    """A warm-up request fits the inputs, and its files are there and have the right size."""
    fix, inputs = model.republish, {tensor.name: tensor for tensor in config.input}
    required = {tensor.name for tensor in config.input if not tensor.optional}
    for name in required - set(request.inputs):
        yield Finding(where, f"model_warmup {request.name} lacks input {name}", fix)
    for name, data in request.inputs.items():
        dtype, tensor = pb.DataType.Name(data.data_type), inputs.get(name)
        if tensor is None or tensor.data_type != data.data_type or not shapes_agree(tensor.dims, data.dims):
            problem = f"model_warmup gives input {name} {dtype} {list(data.dims)}, which does not fit it"
            yield Finding(where, problem, fix)
        if data.input_data_file:
            path = model.folder / "warmup" / data.input_data_file
            fault = warmup_fault(path.read_bytes(), dtype, data.dims) if path.is_file() else "missing"
            if fault:
                problem = f"{fault} (model_warmup {request.name}, input {name})"
                yield Finding(f"{model.name}/warmup/{data.input_data_file}", problem, fix)


def warmup_fault(content: bytes, dtype: str, dims: Sequence[int]) -> str:
    """What is wrong with the raw tensor, one row, in a warm-up file; empty if it is right. dtype: TYPE_INT64."""
    count, size = math.prod(dims), BYTES.get(dtype.removeprefix("TYPE_"))
    if dtype != "TYPE_STRING":
        right = size is None or len(content) == count * size
        return "" if right else f"{len(content)} bytes, {dtype} {list(dims)} takes {count * (size or 0)}"
    position = strings = 0
    while position + 4 <= len(content):
        position += 4 + int.from_bytes(content[position : position + 4], "little")
        strings += 1
    if position != len(content):
        return f"length prefixes end at byte {position} of {len(content)}"
    return "" if strings == count else f"holds {strings} strings, {list(dims)} takes {count}"


def is_stray(path: Path) -> bool:
    """Whether a file or folder is hidden, or left over from a publish that was stopped."""
    return path.name.startswith(".") or path.suffix == ".new"


def stray_rules(root: Path) -> Iterator[Finding]:
    """Nothing lies in the repository that no model needs; Triton takes any folder in it for a model."""
    fix = "delete it, unless a build is running"
    for path in root.parent.glob(f".{root.name}.*.new"):
        yield Finding(f"../{path.name}", "left over from a publish", fix)
    for path in root.rglob("*"):
        file = path.relative_to(root)
        if str(file) in ROOT_FILES or any(is_stray(parent) for parent in list(file.parents)[:-1]):
            continue
        if path.suffix == ".new":
            yield Finding(str(file), "left over from a publish", fix)
        elif is_stray(path):
            yield Finding(str(file), "hidden, no part of a model", "delete it")
        elif path.is_file() and len(file.parts) == 1:
            yield Finding(str(file), "a file where models belong", "delete it")
