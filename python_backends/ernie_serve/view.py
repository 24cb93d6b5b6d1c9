"""The folder that tritonserver loads from: what is served, whatever is published into the repository meanwhile.

Triton reads a model's folder again whenever it loads it. With the repository itself a step that has to be replaced
would come back as the newest version, under an ensemble of the version before. So the view has the configurations as
copies and the version folders as links, and changes only when a task is updated (updates.py). There the steps of
another version have names of their own, such as `tnews_encoder_fp32.v2`, which its ensembles name.
"""

from __future__ import annotations

import hashlib
import re
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.names import MANIFEST_FILE, MANIFEST_PARAMETER
from ernie_runtime.repository import versions
from ernie_serve import problems
from ernie_serve.loading import MANIFEST_KEY, config_text, is_ensemble, loaded_models, task_of

HIDDEN = f"hidden_{MANIFEST_PARAMETER}"
"""Name of the parameter by which clients know a task, where they are not to."""


@dataclass(frozen=True, kw_only=True)
class TaskModels:
    """A task as the repository has it now.

    steps: the models with a process that are loaded for it; ensembles: what clients ask, the plain one last.
    """

    task: str
    version: int
    steps: tuple[str, ...]
    ensembles: tuple[str, ...]
    digest: str
    """Of everything that decides its answers."""


class View:
    """folder: where the view is, a folder of its own. names: the models in it, which are served.

    config_name: of the configurations that are served, see `loading.loaded_models`.
    """

    def __init__(self, folder: Path, repository: Path, config_name: str | None) -> None:
        self.folder, self.repository, self.config_name = folder, repository, config_name
        self.names = set[str]()
        self.served = dict[str, TaskModels]()
        self.processes = dict[str, set[str]]()
        """By task: what is served, and the models of the view that do its work, except those of its ensembles."""

    def is_kept(self) -> bool:
        """Whether it is there, and all that it links to: a version that was taken back since is not."""
        return bool(self.names) and all(_is_whole(self.folder / name) for name in self.names)

    def prepare(self) -> None:
        """Before a start: what was served before, if it is kept, else the repository as it is."""
        if self.is_kept():
            for path in self.folder.iterdir():
                if path.name not in self.names:
                    shutil.rmtree(path)
            return
        self.remove()
        self.served = self.available()
        self.processes = {name: set(task.steps) for name, task in self.served.items()}
        self.folder.mkdir(mode=0o700)
        for name in loaded_models(self.repository, self.config_name):
            self.add(name)
            self.names.add(name)

    def add(self, model: str, *, name: str = "", names: Mapping[str, str] | None = None, hidden: bool = False) -> None:
        """Put a model of the repository into the view, or what is there of that name aside.

        name: what it is called there, as in the repository by default. names: what the other models that its
        configuration names are called there. hidden: clients are not to take it for a task.
        """
        name = name or model
        new = self.folder / f".{name}.new"
        shutil.rmtree(new, ignore_errors=True)
        shutil.copytree(self.repository / model, new, ignore=_not_configuration, copy_function=shutil.copyfile)
        for version in versions(self.repository / model):
            (new / str(version)).symlink_to((self.repository / model / str(version)).resolve())
        for config in (new / "config.pbtxt", *new.glob("configs/*.pbtxt")):
            text = renamed(config.read_text(encoding="utf-8"), {**(names or {}), model: name})
            if hidden:
                text = re.sub(MANIFEST_KEY, f'key: "{HIDDEN}"', text)
            config.write_text(text, encoding="utf-8")
        self._put(name, new)

    def available(self) -> dict[str, TaskModels]:
        """The tasks that the repository has by now, by name.

        ServeError where the models of one differ in their newest version.
        """
        repository, members = self.repository, dict[str, dict[str, int]]()
        for model in problems.model_folders(repository):
            if task := task_of(repository / model):
                members.setdefault(task, {})[model] = versions(repository / model)[-1]
        loaded = set(loaded_models(repository, self.config_name))
        return {task: self._models(task, newest, loaded) for task, newest in members.items()}

    def _models(self, task: str, newest: Mapping[str, int], loaded: Collection[str]) -> TaskModels:
        problems.check_same_version(task, newest)
        configs = {model: config_text(self.repository / model, self.config_name) for model in newest}
        ensembles = {model for model, config in configs.items() if is_ensemble(config)}
        digest = hashlib.sha256()
        for model, version in sorted(newest.items()):
            folder = self.repository / model
            manifest = folder / str(version) / MANIFEST_FILE
            for file in (folder / "config.pbtxt", *sorted(folder.glob("configs/*")), manifest):
                digest.update(f"{model} {version} {file.name}\0".encode() + file.read_bytes() + b"\0")
        return TaskModels(
            task=task,
            version=next(iter(newest.values())),
            steps=tuple(sorted(model for model in newest if model in loaded and model not in ensembles)),
            ensembles=tuple(sorted(ensembles, key=lambda model: (model == task, model))),
            digest=digest.hexdigest(),
        )

    def _put(self, name: str, new: Path) -> None:
        old = self._aside(name)
        shutil.rmtree(old, ignore_errors=True)
        with suppress(FileNotFoundError):
            (self.folder / name).rename(old)
        new.rename(self.folder / name)

    def restore(self, name: str) -> None:
        """Let the model be what it was before its last change."""
        shutil.rmtree(self.folder / name, ignore_errors=True)
        self._aside(name).rename(self.folder / name)

    def _aside(self, name: str) -> Path:
        return self.folder / f".{name}.old"

    def discard(self, name: str) -> None:
        """Take a model out of the view."""
        self.names.discard(name)
        for folder in (self.folder / name, self._aside(name)):
            shutil.rmtree(folder, ignore_errors=True)

    def remove(self) -> None:
        """Remove the folder."""
        self.names.clear()
        shutil.rmtree(self.folder, ignore_errors=True)


def renamed(config: str, names: Mapping[str, str]) -> str:
    """The text of a configuration with other names of models; the manifest in it has quotes of another kind (\\")."""
    pattern = r"""(?<!\\)(["'])(""" + "|".join(map(re.escape, names)) + r""")\1"""
    return re.sub(pattern, lambda match: f'"{names[match[2]]}"', config)


def _not_configuration(folder: str, names: list[str]) -> set[str]:
    """What is not copied: version folders."""
    return {name for name in names if name.isdigit()} if (Path(folder) / "config.pbtxt").exists() else set()


def _is_whole(model: Path) -> bool:
    return model.is_dir() and all(path.exists() for path in model.iterdir())
