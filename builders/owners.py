"""Whose models a repository holds: no task may take the place of another (`A_fp16`: a task, or a variant of A)."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from ernie_runtime.errors import ManifestError
from ernie_runtime.repository import newest_version

from .config import TaskConfig
from .errors import PublishError
from .staging import model_names


def check_free(repository: Path, task: str, models: Iterable[str]) -> None:
    """PublishError where one of a task's models has the name of a model of another task that is published."""
    for model in models:
        owner = owner_of(repository / model)
        if owner not in ("", task):
            raise PublishError(
                f"{repository / model}: is a model of task {owner}, and task {task} would publish one of that name; "
                "rename one of the tasks, leave that variant out, or give another --output"
            )


def check_all_free(repository: Path, tasks: Iterable[TaskConfig]) -> None:
    """The same before anything is built: for all models that the tasks may be published as."""
    for task in tasks:
        check_free(repository, task.name, model_names(task.name, list(task.variants), fused=True))


def owner_of(model: Path) -> str:
    """The task that a model directory was published for; empty where there is none, or none that can be told."""
    try:
        path = newest_version(model) / "manifest.json"
        found = json.loads(path.read_text(encoding="utf-8"))["task"]
    except (ManifestError, OSError, ValueError, LookupError, TypeError):
        return ""
    return str(found)
