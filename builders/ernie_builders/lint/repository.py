"""Check a model repository without a server: `ernie-triton lint REPO`. One line a finding, with its fix."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from google.protobuf.text_format import ParseError

from ernie_runtime.errors import ManifestError
from ernie_runtime.install import install_hint
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.repository import versions

from ..repository import model_config
from .compat import compat_rules, find_compat
from .rules import BACKENDS, Finding, Model, config_rules, ensemble_rules
from .steps import warmup_rules
from .tasks import MANIFEST, find_members, task_rules

ROOT_FILES = ("README.md", ".gitignore", ".gitkeep")
NO_ONNX = f"ONNX graphs, because the onnx package is missing ({install_hint('build')})"


def lint(root: Path, only: Collection[str] | None = None) -> tuple[list[Finding], list[str]]:
    """Findings in a repository, sorted, and the checks that were skipped; only: of these models (a task's, all)."""
    root = root.resolve()
    findings, models = set(stray_rules(root)), dict[str, Model]()
    faults: dict[str, list[tuple[str, str]]] = {}
    for folder in (p for p in root.iterdir() if p.is_dir() and not stray(p) and (only is None or p.name in only)):
        if versions(folder) or (folder / model_config.PORTABLE).exists():
            models[folder.name], faults[folder.name] = read_model(folder)
        else:
            what = "no config.pbtxt and no version directory"
            findings.add(Finding(folder.name, what, "delete the folder"))
    members = find_members(models)
    for name in models.keys() & members.keys():
        models[name] = replace(models[name], task=members[name].task)
    origins = find_compat(models)
    for name, origin in origins.items():
        models[name] = replace(models[name], task=f"{origin.task} with --compat {origin.format}")
    for name, model in models.items():
        findings.update(Finding(f"{name}/{file}", problem, model.again) for file, problem in faults[name])
        findings.update(file_rules(model))
        for file, config in model.configs.items():
            findings.update(config_rules(model, file, config))
    for flavour in sorted({model_config.PORTABLE, *(file for model in models.values() for file in model.configs)}):
        for model in models.values():
            findings.update(ensemble_rules(model, models, flavour))
    try:
        import onnx
    except ImportError:
        onnx = None
    findings.update(compat_rules(models, origins, members))
    findings.update(task_rules({n: m for n, m in models.items() if n not in origins}, members, onnx))
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
    for file in (model_config.PORTABLE, *(f"configs/{p.name}" for p in sorted(folder.glob("configs/*.pbtxt")))):
        try:
            configs[file] = model_config.from_text((folder / file).read_text(encoding="utf-8"))
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
    expected = {model_config.PORTABLE, "configs", "warmup", *map(str, model.versions)}
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
    if model_config.PORTABLE in model.configs:
        for path in model.folder.glob("warmup/*"):
            if path.name not in warm and not stray(path):
                yield Finding(f"{model.name}/warmup/{path.name}", "no model_warmup names it", "delete it")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 no findings, 1 findings, 2 usage or not a model repository."""
    p = argparse.ArgumentParser(prog="ernie-triton lint", description="Check a model repository without a server.")
    p.add_argument("repository", type=Path, metavar="REPO", help="as `ernie-triton build` writes it")
    p.add_argument("--json", action="store_true", help="one object: findings (file, problem, fix) and skipped")
    args = p.parse_args(argv)
    root: Path = args.repository
    if not any((*root.glob(f"*/{model_config.PORTABLE}"), *root.glob(f"*/[1-9]*/{MANIFEST}"))):
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
