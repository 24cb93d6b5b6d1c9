"""Publish compat ensembles: always as version 1; each model that was there is replaced in one step."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..config.tasks import TaskConfig
from ..errors import PublishError
from ..filesystem import locked, put_in_place
from ..repository.model_config import PORTABLE, to_text
from ..repository.origin import VERSION, Origin, origin_file, read_origin
from ..repository.staging import staging_folder
from .paddlenlp import NAME, Form, configs, ensemble_inputs


def publish(form: Form, task: TaskConfig, output: Path) -> str:
    """Publish the form's ensemble, answered by a task that the repository has; returns one line about it.

    PublishError if a model that `--compat` did not make has the name.
    """
    models = configs(form, task.name, task.kind)
    origin = Origin(format=NAME, ensemble=form.ensemble, task=task.name)
    with locked(output):
        for name in models:
            _check_replaceable(output / name)
        old = read_origin(output / form.ensemble)
        staging = staging_folder(output, f"compat.{form.ensemble}")
        shutil.rmtree(staging, ignore_errors=True)
        try:
            for name, config in models.items():
                _stage(staging / name, to_text(config), origin)
            changed = [name for name in models if _contents(staging / name) != _contents(output / name)]
            for name in changed:
                put_in_place(staging / name, output / name)
        finally:
            shutil.rmtree(staging, ignore_errors=True)
    was = f", before by {old.task}" if old is not None and old.task != task.name else ""
    reused = "" if changed else " (reused)"
    names = f"{', '.join(ensemble_inputs(task.kind))} -> {', '.join(spec.name for spec in form.gives)}"
    return f"version {VERSION} of {form.ensemble} ({names}), answered by {task.name}{was}, in {output}{reused}"


def _stage(model: Path, config: str, origin: Origin) -> None:
    """Write one model directory. Its version needs a file: git and object stores drop empty directories."""
    origin_file(model).parent.mkdir(parents=True)
    origin_file(model).write_text(origin.to_json(), encoding="utf-8")
    (model / PORTABLE).write_text(config, encoding="utf-8")


def _check_replaceable(model: Path) -> None:
    if model.exists() and read_origin(model) is None:
        raise PublishError(f"{model}: not made by --compat, so it is not replaced; move it away, or drop --compat")


def _contents(model: Path) -> dict[str, bytes]:
    return {str(path.relative_to(model)): path.read_bytes() for path in model.rglob("*") if path.is_file()}
