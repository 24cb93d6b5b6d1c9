"""Check a model repository without a server: `ernie-triton lint REPO`, one line per finding, with its fix."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Collection, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import NamedTuple

from ernie_runtime.command_line import CommandLine
from ernie_runtime.install import install_hint
from ernie_runtime.names import MANIFEST_FILE
from ernie_runtime.repository import versions

from ..repository.model_config import PORTABLE
from .compat import compat_models, compat_rules
from .ensemble import ensemble_rules
from .model import Finding, Model, Unreadable, read_model
from .rules import config_rules, file_rules, is_stray, stray_rules
from .tasks import expected_models, task_rules

NO_ONNX = f"ONNX graphs, because the onnx package is missing ({install_hint('build')})"


class Report(NamedTuple):
    """What is wrong with a repository, sorted, and which checks were skipped."""

    findings: list[Finding]
    skipped: list[str]


def lint(root: Path, only: Collection[str] | None = None) -> Report:
    """Check a repository; only: the models to look at (of whole tasks; None: all)."""
    root = root.resolve()
    findings = set(stray_rules(root))
    models: dict[str, Model] = {}
    unreadable: dict[str, list[Unreadable]] = {}
    for folder in root.iterdir():
        if not folder.is_dir() or is_stray(folder) or (only is not None and folder.name not in only):
            continue
        if versions(folder) or (folder / PORTABLE).exists():
            models[folder.name], unreadable[folder.name] = read_model(folder)
        else:
            findings.add(Finding(folder.name, "no config.pbtxt and no version directory", "delete the folder"))
    expected, origins = expected_models(models), compat_models(models)
    for name in models.keys() & expected.keys():
        models[name] = replace(models[name], task=expected[name].task)
    for name, origin in origins.items():
        models[name] = replace(models[name], task=f"{origin.task} with --compat {origin.format}")
    for name, model in models.items():
        findings.update(Finding(f"{name}/{file}", problem, model.republish) for file, problem in unreadable[name])
        findings.update(file_rules(model))
        for file, config in model.configs.items():
            findings.update(config_rules(model, file, config))
    for flavour in sorted({PORTABLE, *(file for model in models.values() for file in model.configs)}):
        for model in models.values():
            findings.update(ensemble_rules(model, models, flavour))
    try:
        import onnx
    except ImportError:
        onnx = None
    findings.update(compat_rules(models, origins, expected))
    of_tasks = {name: model for name, model in models.items() if name not in origins}
    findings.update(task_rules(of_tasks, expected, onnx))
    return Report(sorted(findings), [] if onnx is not None else [NO_ONNX])


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 no findings, 1 findings, 2 usage or not a model repository."""
    parser = CommandLine(prog="ernie-triton lint", description="Check a model repository without a server.")
    parser.add_argument(
        "--repository", type=Path, default=Path("model_repository"), help="as `ernie-triton build` writes it"
    )
    parser.add_argument("place", type=Path, nargs="?", metavar="REPOSITORY", help=argparse.SUPPRESS)
    parser.add_argument("--json", action="store_true", help="one object: findings (file, problem, fix) and skipped")
    args = parser.parse_args(argv)
    root: Path = args.place or args.repository
    if not any((*root.glob(f"*/{PORTABLE}"), *root.glob(f"*/[1-9]*/{MANIFEST_FILE}"))):
        reason = "no folder in it holds a config.pbtxt" if root.is_dir() else "no such folder"
        hint = "`ernie-triton build` makes one"
        sys.stderr.write(f"ernie-triton lint: {root} is no model repository: {reason}; {hint}\n")
        return 2
    report = lint(root)
    if args.json:
        document = {"findings": [asdict(finding) for finding in report.findings], "skipped": report.skipped}
        text = json.dumps(document, ensure_ascii=False, indent=1)
    else:
        skipped = [f"skipped: {check}" for check in report.skipped]
        text = "\n".join([*map(str, report.findings), *skipped, f"findings: {len(report.findings)}"])
    sys.stdout.write(text + "\n")
    return 1 if report.findings else 0


if __name__ == "__main__":
    sys.exit(main())
