"""Which models of a repository a server loads: those that clients ask, and the steps that these name.

A task's models are there for several flavours of configurations. In the ragged one the encoder is the whole task: then
its tokenizer and postprocessor would only be processes that nobody asks.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

from ernie_runtime.names import MANIFEST_FILE, MANIFEST_PARAMETER
from ernie_runtime.repository import versions
from ernie_serve import problems

MANIFEST_KEY = rf'\bkey\s*:\s*"{MANIFEST_PARAMETER}"'
"""The parameter by which clients know a task."""
STEP = r"""\bmodel_name\s*:\s*["']([^"'\\]+)"""
"""A step of an ensemble."""


def loaded_models(repository: Path, config_name: str | None) -> list[str]:
    """Names of the models that are served with the configurations of this name, sorted."""
    models = problems.model_folders(repository)
    configs = {model: config_text(repository / model, config_name) for model in models}
    steps = {step for config in configs.values() for step in re.findall(STEP, config)}
    return [
        model
        for model in models
        if model in steps or not task_of(repository / model) or is_asked(configs[model]) or is_ensemble(configs[model])
    ]


def config_text(model: Path, config_name: str | None) -> str:
    """The configuration of a model that a server takes; Triton falls back to the plain one."""
    named = model / "configs" / f"{config_name}.pbtxt"
    file = named if config_name and named.is_file() else model / "config.pbtxt"
    return file.read_text(encoding="utf-8", errors="replace")


def is_asked(config: str) -> bool:
    """Whether a configuration has a manifest: then clients take the model for a task."""
    return re.search(MANIFEST_KEY, config) is not None


def is_ensemble(config: str) -> bool:
    """Whether no process is started for the model."""
    return re.search(r"\bplatform\s*:\s*[\"']ensemble", config) is not None


def task_of(model: Path) -> str:
    """The task that the manifest of a model's newest version names; empty where there is none."""
    numbers = versions(model)
    try:
        return str(json.loads((model / str(numbers[-1]) / MANIFEST_FILE).read_text(encoding="utf-8"))["task"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""
