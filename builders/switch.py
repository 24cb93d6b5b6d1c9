"""Change which variant a task recommends, or go back a version: each model in one step, what serves stays whole."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

from ernie_runtime.manifest import Manifest
from ernie_runtime.repository import versions

from . import triton_config as tc
from .errors import PublishError
from .exchange import exchange
from .staging import PUBLISHED, model_names


def recommend(repository: Path, manifest: Manifest, name: str) -> Manifest:
    """Put the variant `name` behind the task's plain name: one directory, the ensemble's, is exchanged."""
    changed = replace(manifest, recommended=name)
    folder = repository / manifest.task
    new = repository / f".{manifest.task}.new"
    shutil.rmtree(new, ignore_errors=True)
    shutil.copytree(folder, new)
    try:
        config = tc.to_text(tc.ensemble_config(changed, manifest.task, changed.variant(name)))
        home = new / str(manifest.version)
        for at in (new, home / PUBLISHED):
            (at / tc.PORTABLE).write_text(config, encoding="utf-8")
        (home / "manifest.json").write_text(changed.to_json(), encoding="utf-8")
        exchange(new, folder)
    finally:
        shutil.rmtree(new, ignore_errors=True)
    return changed


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
    names = model_names(task, [variant.name for variant in old.variants])
    for name in names:
        if not (repository / name / str(before) / PUBLISHED).is_dir():
            raise PublishError(
                f"{repository / name}: has no version {before} to go back to (its variant was taken away since, or it "
                "was published before versions kept their configuration): publish that build again"
            )
    # Ensembles last: until then the old ones go on with steps of either version.
    for name in names:
        folder, new = repository / name, repository / f".{name}.new"
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(folder / str(before) / PUBLISHED, new)
        for number in earlier:
            if (folder / str(number)).is_dir():
                shutil.copytree(folder / str(number), new / str(number))
        exchange(new, folder)
        shutil.rmtree(new)
    for name in model_names(task, [variant.name for variant in manifest.variants]):
        if name not in names:
            shutil.rmtree(repository / name, ignore_errors=True)
    return old
