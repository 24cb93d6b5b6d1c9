"""Change which variant a task recommends, or go back a version: each model in one step, what serves stays whole."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

from ernie_runtime.manifest import Manifest
from ernie_runtime.repository import versions

from ..config.serving import SLO
from ..errors import PublishError
from ..filesystem import whole_folder
from . import model_config
from .staging import PUBLISHED, models_of


def recommend(repository: Path, manifest: Manifest, name: str) -> Manifest:
    """Put the variant `name` behind the task's plain name: that ensemble's directory is exchanged, T_fused's before."""
    changed, task = replace(manifest, recommended=name), manifest.task
    variant = changed.variant(name)
    if model_config.is_fused(manifest):
        fused = _as_published(repository, model_config.fused_config(changed, variant))
        _change(repository, changed, fused.name, model_config.to_text(fused))
    _change(repository, changed, task, model_config.to_text(model_config.ensemble_config(changed, task, variant)))
    return changed


def _as_published(repository: Path, config: Any) -> Any:
    """The configuration with what was published beside it and suits any variant: warm-up, queues, instances, SLO."""
    published = model_config.from_text((repository / config.name / model_config.PORTABLE).read_text(encoding="utf-8"))
    config.model_warmup.extend(published.model_warmup)
    config.dynamic_batching.CopyFrom(published.dynamic_batching)
    config.instance_group.extend(published.instance_group)
    if SLO in published.parameters:
        config.parameters[SLO].CopyFrom(published.parameters[SLO])
    return config


def _change(repository: Path, manifest: Manifest, model: str, config: str) -> None:
    """Exchange one model's directory for the same with another configuration and manifest."""
    with whole_folder(repository / model) as new:
        shutil.copytree(repository / model, new, dirs_exist_ok=True)
        version = new / str(manifest.version)
        for folder in (new, version / PUBLISHED):
            (folder / model_config.PORTABLE).write_text(config, encoding="utf-8")
        (version / "manifest.json").write_text(manifest.to_json(), encoding="utf-8")


def roll_back(repository: Path, manifest: Manifest) -> Manifest:
    """Take the newest version of every model of the task away; PublishError where there is none before it.

    The version before gets the configuration it was published with. Models that it did not have are taken away.
    """
    task = manifest.task
    earlier = [number for number in versions(repository / task) if number < manifest.version]
    if not earlier:
        raise PublishError(f"task {task}: version {manifest.version} is the only one in {repository}")
    before = earlier[-1]
    old = Manifest.load(repository / task / str(before) / "manifest.json")
    names = models_of(old)
    for name in names:
        if not (repository / name / str(before) / PUBLISHED).is_dir():
            raise PublishError(
                f"{repository / name}: has no version {before} to go back to (its variant was taken away since, or it "
                "was published before versions kept their configuration): publish that build again"
            )
    # Ensembles last: until then the old ones go on with steps of either version.
    for name in names:
        folder = repository / name
        with whole_folder(folder) as new:
            shutil.copytree(folder / str(before) / PUBLISHED, new, dirs_exist_ok=True)
            for number in earlier:
                if (folder / str(number)).is_dir():
                    shutil.copytree(folder / str(number), new / str(number))
    for name in models_of(manifest):
        if name not in names:
            shutil.rmtree(repository / name, ignore_errors=True)
    return old
