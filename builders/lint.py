"""Check a model repository without a server: `ernie-triton lint REPO`. One line a finding, with its fix."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
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
    config_rules,
    config_tensors,
    contract_rules,
    ensemble_rules,
    name_rules,
    warmup_rules,
)

MANIFEST, TOKENIZER = "manifest.json", "tokenizer.json"
ROOT_FILES = ("README.md", ".gitignore", ".gitkeep")
NO_ONNX = "ONNX graphs, because the onnx package is missing (pip install 'ernie-triton[build]')"
ONNX_TYPES = {"FLOAT": "FP32", "FLOAT16": "FP16", "DOUBLE": "FP64", "BFLOAT16": "BF16"}


def lint(root: Path) -> tuple[list[Finding], list[str]]:
    """Findings in a repository, sorted, and the checks that were skipped."""
    root = root.resolve()
    findings, models = set(stray_rules(root)), dict[str, Model]()
    faults: dict[str, list[tuple[str, str]]] = {}
    for folder in (p for p in root.iterdir() if p.is_dir() and not stray(p)):
        if versions(folder) or (folder / tc.PORTABLE).exists():
            models[folder.name], faults[folder.name] = read_model(folder)
        else:
            what = "no config.pbtxt and no version directory"
            findings.add(Finding(folder.name, what, "delete the folder"))
    members = find_members(models)
    for name in models.keys() & members.keys():
        models[name] = replace(models[name], task=members[name].task)
    for name, model in models.items():
        findings.update(Finding(f"{name}/{file}", problem, model.again) for file, problem in faults[name])
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
    findings.update(task_rules(models, members, onnx))
    return sorted(findings), [] if onnx is not None else [NO_ONNX]


def read_model(folder: Path) -> tuple[Model, list[tuple[str, str]]]:
    """A model directory, and what of it cannot be read: file, problem."""
    configs: dict[str, Any] = {}
    manifests: dict[int, Manifest] = {}
    faults = []
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
    return Model(folder, configs, manifests), faults


def stray(path: Path) -> bool:
    """Hidden, or what a publish that was stopped leaves."""
    return path.name.startswith(".") or path.suffix == ".new"


def stray_rules(root: Path) -> Iterator[Finding]:
    """Things that no model needs; Triton takes any folder in the repository for a model."""
    gone = "delete it, unless a build is running"
    for path in root.parent.glob(f".{root.name}.*.new"):
        yield Finding(f"../{path.name}", "left over from a publish", gone)
    for path in root.rglob("*"):
        file = path.relative_to(root)
        if str(file) in ROOT_FILES or any(stray(parent) for parent in list(file.parents)[:-1]):
            continue
        if path.suffix == ".new":
            yield Finding(str(file), "left over from a publish", gone)
        elif stray(path):
            yield Finding(str(file), "hidden, no part of a model", "delete it")
        elif path.is_file() and len(file.parts) == 1:
            yield Finding(str(file), "a file where models belong", "delete it")


def file_rules(model: Model) -> Iterator[Finding]:
    """Version directories, model files, warm-up files, and nothing else."""
    if not model.versions:
        yield Finding(model.name, "no version directory whose name is a number from 1", model.again)
    expected = {tc.PORTABLE, "configs", "warmup", *map(str, model.versions)}
    for path in (*model.folder.iterdir(), *model.folder.glob("configs/*")):
        known = path.suffix == ".pbtxt" if path.parent != model.folder else path.name in expected
        if not known and not stray(path):
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
            if path.name not in warm and not stray(path):
                yield Finding(f"{model.name}/warmup/{path.name}", "no model_warmup names it", "delete it")


def task_models(manifest: Manifest) -> dict[str, Variant | None]:
    """Names of the models a task is published as; encoders and ensembles with their variant."""
    task = manifest.task
    names: dict[str, Variant | None] = {tc.tokenizer_name(task): None, tc.postprocess_name(task): None}
    for variant in manifest.variants:
        names |= {tc.encoder_name(task, variant.name): variant, f"{task}_{variant.name}": variant}
    return {**names, task: manifest.variant(manifest.recommended)}


def manifest_text(model: Model, number: int) -> str:
    """manifest.json of one version, which has loaded before."""
    return (model.folder / str(number) / MANIFEST).read_text(encoding="utf-8")


def find_members(models: Mapping[str, Model]) -> dict[str, Manifest]:
    """Name of every model that the tasks here should have -> its task's newest manifest."""
    newest: dict[str, tuple[int, Manifest]] = {}
    for model in models.values():
        for number, manifest in model.manifests.items():
            if model.name in task_models(manifest) and number > newest.get(manifest.task, (0,))[0]:
                newest[manifest.task] = number, manifest
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
            texts.setdefault((task, number), Counter())[manifest_text(models[name], number)] += 1
    for name in models.keys() & members.keys():
        model, manifest = models[name], members[name]
        if model.versions and model.versions[-1] != latest[manifest.task]:
            problem = f"newest version is {model.versions[-1]}, the task's is {latest[manifest.task]}"
            yield Finding(name, problem, model.again)
        for number in model.versions:
            at = f"{name}/{number}/{MANIFEST}"
            if number in model.manifests:
                if manifest_text(model, number) != texts[manifest.task, number].most_common(1)[0][0]:
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
            number = max(model.versions, default=0)
            if number in model.manifests and text != manifest_text(model, number):
                yield Finding(where, f"parameter manifest is not {number}/{MANIFEST}", fix)
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
    p = argparse.ArgumentParser(prog="ernie-triton lint", description="Check a model repository without a server.")
    p.add_argument("repository", type=Path, metavar="REPO", help="as `ernie-triton build` writes it")
    p.add_argument("--json", action="store_true", help="one object: findings (file, problem, fix) and skipped")
    args = p.parse_args(argv)
    root: Path = args.repository
    if not any((*root.glob(f"*/{tc.PORTABLE}"), *root.glob(f"*/[1-9]*/{MANIFEST}"))):
        reason = "no folder in it holds a config.pbtxt" if root.is_dir() else "no such folder"
        hint = "`ernie-triton build` makes one"
        sys.stderr.write(f"ernie-triton lint: {root} is no model repository: {reason}; {hint}\n")
        return 2
    findings, skipped = lint(root)
    if args.json:
        report = {"findings": [asdict(f) for f in findings], "skipped": skipped}
        text = json.dumps(report, ensure_ascii=False, indent=1)
    else:
        lines = [*map(str, findings), *(f"skipped: {s}" for s in skipped), f"findings: {len(findings)}"]
        text = "\n".join(lines)
    sys.stdout.write(text + "\n")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
