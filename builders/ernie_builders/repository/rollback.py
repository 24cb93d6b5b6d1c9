"""Change the variant that a task recommends, or go back a version; a server sees each model whole at any time."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.manifest import Manifest
from ernie_runtime.names import MANIFEST_FILE
from ernie_runtime.repository import versions

from ..errors import PublishError
from ..filesystem import whole_folder
from . import model_config
from .staging import PUBLISHED, models_of


def recommend(repository: Path, manifest: Manifest, name: str) -> Manifest:
    """Put the variant `name` behind the task's plain name."""
    changed, task = replace(manifest, recommended=name), manifest.task
    variant = changed.variant(name)
    _change(repository, changed, task, model_config.ensemble_configs(changed, task, variant))
    return changed


def _change(repository: Path, manifest: Manifest, model: str, configs: Mapping[str, pb.ModelConfig]) -> None:
    """Replace one model's directory by a copy with other configurations and another manifest."""
    with whole_folder(repository / model) as new:
        shutil.copytree(repository / model, new, dirs_exist_ok=True)
        version = new / str(manifest.version)
        for folder in (new, version / PUBLISHED):
            for file, config in configs.items():
                (folder / file).parent.mkdir(exist_ok=True)
                (folder / file).write_text(model_config.to_text(config), encoding="utf-8")
        (version / MANIFEST_FILE).write_text(manifest.to_json(), encoding="utf-8")


def roll_back(repository: Path, manifest: Manifest) -> Manifest:
    """Remove the newest version of every model of the task; PublishError if it is the only one.

    The version before it gets the configuration that it was published with. Models that it did not have are removed.
    """
    task = manifest.task
    previous = [number for number in versions(repository / task) if number < manifest.version]
    if not previous:
        raise PublishError(f"task {task}: version {manifest.version} is the only one in {repository}")
    version = previous[-1]
    old = Manifest.load(repository / task / str(version) / MANIFEST_FILE)
    names = models_of(old)
    for name in names:
        if not (repository / name / str(version) / PUBLISHED).is_dir():
            raise PublishError(
                f"{repository / name}: has no version {version} to go back to (its variant was taken away since, or it "
                "was published before versions kept their configuration): publish that build again"
            )
    # Ensembles come last: until then the old ones work with steps of either version.
    for name in names:
        folder = repository / name
        with whole_folder(folder) as new:
            shutil.copytree(folder / str(version) / PUBLISHED, new, dirs_exist_ok=True)
            for number in previous:
                if (folder / str(number)).is_dir():
                    shutil.copytree(folder / str(number), new / str(number))
    for name in models_of(manifest):
        if name not in names:
            shutil.rmtree(repository / name, ignore_errors=True)
    return old
