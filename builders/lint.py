"""Check a model repository without a server: `ernie-triton lint REPO`. One line a finding, with its fix."""

from __future__ import annotations

import argparse
import hashlib
import json
import math
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from google.protobuf.message import DecodeError
from google.protobuf.text_format import ParseError

from ernie_runtime.errors import ManifestError, VocabularyError
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest, Variant
from ernie_runtime.repository import versions
from ernie_runtime.tokenization import ErnieTokenizer

from . import triton_config as tc
from .lint_rules import (
    BACKENDS,
    Finding,
    Model,
    Tensors,
    agree,
    config_rules,
    config_tensors,
    contract_rules,
    ensemble_rules,
    name_rules,
)

MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
ROOT_FILES = ("README.md", ".gitignore", ".gitkeep")
SIZES = {"BOOL": 1, "INT8": 1, "UINT8": 1, "FP16": 2, "BF16": 2, "INT32": 4, "FP32": 4, "INT64": 8, "FP64": 8}
ONNX_TYPES = {"FLOAT": "FP32", "FLOAT16": "FP16", "DOUBLE": "FP64", "BFLOAT16": "BF16"}


def lint(root: Path) -> tuple[list[Finding], list[str]]:
    """Findings in a repository, sorted, and the checks that were skipped."""
    root, findings, models = root.resolve(), set[Finding](), dict[str, Model]()
    findings.update(stray_rules(root))
    for folder in (p for p in root.iterdir() if p.is_dir() and not p.name.startswith(".") and p.suffix != ".new"):
        models[folder.name], faults = read_model(folder)
        findings.update(faults)
    for model in models.values():
        findings.update(file_rules(model))
        for file, config in model.configs.items():
            findings.update(config_rules(model, file, config))
    for flavour in sorted({tc.PORTABLE, *(file for model in models.values() for file in model.configs)}):
        for model in models.values():
            findings.update(ensemble_rules(model, models, flavour))
    try:
        import onnx
    except ImportError:
        onnx = None
    findings.update(task_rules(models, onnx))
    if onnx is None:
        return sorted(findings), ["ONNX graphs: the onnx package is missing (pip install 'ernie-triton[build]')"]
    return sorted(findings), []


def read_model(folder: Path) -> tuple[Model, list[Finding]]:
    """A model directory, and what of it cannot be read."""
    configs: dict[str, Any] = {}
    manifests: dict[int, Manifest] = {}
    model, faults = Model(folder, configs, manifests), []
    for number in versions(folder):
        path = folder / str(number) / MANIFEST
        try:
            if path.exists():
                manifests[number] = Manifest.load(path)
                get_kind(manifests[number].kind).check(manifests[number])
        except ManifestError as error:
            manifests.pop(number, None)
            faults.append((f"{number}/{MANIFEST}", str(error).removeprefix(f"{path}: ")))
    for file in (tc.PORTABLE, *(f"configs/{p.name}" for p in sorted(folder.glob("configs/*.pbtxt")))):
        try:
            configs[file] = tc.from_text((folder / file).read_text(encoding="utf-8"))
        except FileNotFoundError:
            faults.append((file, "missing"))
        except UnicodeDecodeError as error:
            faults.append((file, f"not UTF-8 ({error.reason} at byte {error.start})"))
        except ParseError as error:
            faults.append((file, f"line {error.GetLine()}: no ModelConfig ({' '.join(str(error).split())})"))
    return model, [Finding(f"{model.name}/{file}", problem, model.again) for file, problem in faults]


def stray_rules(root: Path) -> Iterator[Finding]:
    """Things that no model needs; Triton takes any folder in the repository for a model."""
    gone = "delete it, unless a build is running"
    yield from (Finding(f"../{p.name}", "left over from a publish", gone) for p in root.parent.glob(f".{root.name}.*.new"))
    for path in root.rglob("*"):
        file = path.relative_to(root)
        if any(p.startswith(".") or p.endswith(".new") for p in file.parts[:-1]):
            continue
        if path.is_file() and len(file.parts) == 1 and path.name not in ROOT_FILES:
            yield Finding(str(file), "a file, where a repository has models", "delete it")
        elif path.name.endswith(".new"):
            yield Finding(str(file), "left over from a publish", gone)
        elif path.name.startswith(".") and str(file) not in ROOT_FILES:
            yield Finding(str(file), "hidden, no part of a model", "delete it")


def file_rules(model: Model) -> Iterator[Finding]:
    """Version directories, model files, warm-up files, and nothing else."""
    if not model.versions:
        odd = ", ".join(sorted(p.name for p in model.folder.iterdir() if p.is_dir() and p.name not in ("configs", "warmup")))
        problem = f"no version directory that is a number{f' (there is {odd})' if odd else ''}"
        yield Finding(model.name, problem, model.again)
    expected = {tc.PORTABLE, "configs", "warmup", *map(str, model.versions)}
    for path in (*model.folder.iterdir(), *model.folder.glob("configs/*")):
        known = path.suffix == ".pbtxt" if path.parent.name == "configs" else path.name in expected
        if not known and not path.name.startswith(".") and path.suffix != ".new":
            yield Finding(f"{model.name}/{path.relative_to(model.folder)}", "no part of a model", "delete it")
    warm: set[str] = set()
    for file, config in model.configs.items():
        default = BACKENDS.get(config.backend, ())
        for name in (config.default_model_filename,) if config.default_model_filename else default:
            for number in model.versions:
                if not (model.folder / str(number) / name).exists():
                    yield Finding(f"{model.name}/{number}/{name}", f"missing, {file} names it", model.again)
        for request in config.model_warmup:
            warm.update(data.input_data_file for data in request.inputs.values())
            yield from warmup_rules(model, f"{model.name}/{file}", config, request)
    if tc.PORTABLE in model.configs:
        for path in model.folder.glob("warmup/*"):
            if path.name not in warm and not path.name.startswith("."):
                yield Finding(f"{model.name}/warmup/{path.name}", "no model_warmup names it", "delete it")


def warmup_rules(model: Model, where: str, config: Any, request: Any) -> Iterator[Finding]:
    """A warm-up request fits the inputs, and its files are there and have the right size."""
    fix, tensors = model.again, {t.name: t for t in config.input}
    for name in tensors.keys() - set(request.inputs) - {t.name for t in config.input if t.optional}:
        yield Finding(where, f"model_warmup {request.name} lacks input {name}", fix)
    for name, data in request.inputs.items():
        what, kind = f"model_warmup {request.name}, input {name}", tc.pb.DataType.Name(data.data_type)
        if name not in tensors or tensors[name].data_type != data.data_type or not agree(tensors[name].dims, data.dims):
            yield Finding(where, f"{what}: {kind} {list(data.dims)} is no input of the model", fix)
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


def task_models(manifest: Manifest) -> dict[str, Variant | None]:
    """Names of the models a task is published as; encoders and ensembles with their variant."""
    task = manifest.task
    names: dict[str, Variant | None] = {tc.tokenizer_name(task): None, tc.postprocess_name(task): None}
    for variant in manifest.variants:
        names |= {tc.encoder_name(task, variant.name): variant, f"{task}_{variant.name}": variant}
    return {**names, task: manifest.variant(manifest.recommended)}


def task_rules(models: Mapping[str, Model], onnx: Any) -> Iterator[Finding]:
    """A task's models are all there, of one version, and match the manifest."""
    newest: dict[str, Manifest] = {}
    for manifest in (m for model in models.values() for m in model.manifests.values()):
        if manifest.task not in newest or manifest.version > newest[manifest.task].version:
            newest[manifest.task] = manifest
    members = {name: manifest for manifest in newest.values() for name in task_models(manifest)}
    for name in models.keys() - members.keys():
        if models[name].manifests or not any(models[name].folder.glob(f"*/{MANIFEST}")):
            yield Finding(name, "belongs to no task here", "delete the folder, or publish its task")
    for name in members.keys() - models.keys():
        yield Finding(name, f"missing, task {members[name].task} has it", f"publish {members[name].task} again")
    texts: dict[tuple[str, int], Counter[str]] = {}
    for model in (models[name] for name in models.keys() & members.keys()):
        for number in model.manifests:
            counter = texts.setdefault((members[model.name].task, number), Counter())
            counter[(model.folder / str(number) / MANIFEST).read_text(encoding="utf-8")] += 1
    for name in models.keys() & members.keys():
        model, manifest = models[name], members[name]
        latest = max(v for n in models.keys() & members.keys() if members[n] is manifest for v in (0, *models[n].versions))
        if model.versions and model.versions[-1] != latest:
            problem = f"newest version is {model.versions[-1]}, the task has {latest}"
            yield Finding(name, problem, model.again)
        for number in model.versions:
            at = f"{name}/{number}/{MANIFEST}"
            if number in model.manifests:
                text = (model.folder / str(number) / MANIFEST).read_text(encoding="utf-8")
                if text != texts[manifest.task, number].most_common(1)[0][0]:
                    yield Finding(at, "differs from the task's other models of this version", model.again)
                if model.manifests[number].version != number:
                    problem = f"says version {model.manifests[number].version}, its directory {number}"
                    yield Finding(at, problem, model.again)
                yield from version_rules(model, model.manifests[number], number, onnx)
            elif not (model.folder / str(number) / MANIFEST).exists():
                yield Finding(at, "missing", model.again)
        yield from member_rules(model, manifest, task_models(manifest)[name])


def member_rules(model: Model, manifest: Manifest, variant: Variant | None) -> Iterator[Finding]:
    """The configurations of an encoder or ensemble against the task's newest manifest."""
    fix, by = model.again, f"the manifest ({len(manifest.labels)} labels)"
    for file, config in model.configs.items() if variant else ():
        assert variant is not None
        where, encoder = f"{model.name}/{file}", tc.encoder_name(manifest.task, variant.name)
        if model.name == encoder:
            wanted = tc.encoder_config(manifest, variant, False)
            for field in ("backend", "default_model_filename"):
                is_, asked = getattr(config, field), getattr(wanted, field)
                if is_ != asked:
                    yield Finding(where, f"{field} is {is_!r}, the manifest says {asked!r}", fix)
        else:
            wanted = tc.ensemble_config(manifest, model.name, variant)
            if encoder not in {step.model_name for step in config.ensemble_scheduling.step}:
                yield Finding(where, f"has no step {encoder}, the manifest's variant {variant.name}", fix)
            text = config.parameters[tc.MANIFEST_PARAMETER].string_value
            home = model.folder / str(max(model.versions, default=0)) / MANIFEST
            if home.is_file() and text != home.read_text(encoding="utf-8"):
                yield Finding(where, f"parameter manifest is not {home.parent.name}/{MANIFEST}", fix)
        yield from contract_rules(where, config_tensors(config), config_tensors(wanted), by, fix)


def version_rules(model: Model, manifest: Manifest, number: int, onnx: Any) -> Iterator[Finding]:
    """Vocabulary and encoder file of one version against its manifest."""
    home, where, fix = model.folder / str(number), f"{model.name}/{number}", model.again
    if model.name == tc.tokenizer_name(manifest.task) and (home / TOKENIZER).is_file():
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
        if model.name != tc.encoder_name(manifest.task, variant.name) or not path.is_file():
            continue
        if path.stat().st_size != variant.bytes:
            yield Finding(at, f"{path.stat().st_size} bytes, the manifest says {variant.bytes}", fix)
        elif hashlib.sha256(path.read_bytes()).hexdigest() != variant.sha256:
            yield Finding(at, "its sha256 is not the manifest's", fix)
        if onnx is not None and path.suffix == ".onnx":
            try:
                found = onnx_tensors(onnx, path)
            except DecodeError:
                yield Finding(at, "no ONNX graph", fix)
                continue
            yield from name_rules(at, found, fix)
            wanted = config_tensors(tc.encoder_config(manifest, variant, False))
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


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 no findings, 1 findings, 2 usage or not a model repository."""
    parser = argparse.ArgumentParser(prog="ernie-triton lint", description="Check a model repository without a server.")
    parser.add_argument("repository", type=Path, metavar="REPO", help="a model repository, as `ernie-triton build` writes it")
    parser.add_argument("--json", action="store_true", help="one JSON object: findings (file, problem, fix) and skipped")
    args = parser.parse_args(argv)
    if not any((*args.repository.glob(f"*/{tc.PORTABLE}"), *args.repository.glob("*/1"))):
        reason = "no folder in it holds a config.pbtxt" if args.repository.is_dir() else "no such folder"
        sys.stderr.write(f"ernie-triton lint: {args.repository} is no model repository: {reason}; `ernie-triton build` makes one\n")
        return 2
    findings, skipped = lint(args.repository)
    if args.json:
        text = json.dumps({"findings": [asdict(f) for f in findings], "skipped": skipped}, ensure_ascii=False, indent=1)
    else:
        text = "\n".join([*map(str, findings), *(f"skipped: {s}" for s in skipped), f"findings: {len(findings)}"])
    sys.stdout.write(text + "\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
