"""The folder that tritonserver loads from: what is served, whatever is published into the repository meanwhile.

Triton reads a model's folder again whenever it loads it. With the repository itself a step that has to be replaced
would come back as the newest version, under an ensemble of the version before. So the view has the configurations as
copies and the version folders as links, and changes only when a task is updated (updates.py). There the steps of
another version have names of their own, such as `tnews_encoder_fp32.v2`, which its ensembles name.
"""

from __future__ import annotations

import hashlib
import json
import re
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.names import MANIFEST_FILE, MANIFEST_PARAMETER, VARIANT_PARAMETER
from ernie_runtime.repository import versions
from ernie_serve import problems

MANIFEST_KEY, HIDDEN = rf'\bkey\s*:\s*"{MANIFEST_PARAMETER}"', f"hidden_{MANIFEST_PARAMETER}"
"""The parameter by which clients know a task, and its name where they are not to."""
TOLD = rf'key: "({HIDDEN}|{VARIANT_PARAMETER})"'
"""Parameters that clients read."""


@dataclass(frozen=True, kw_only=True)
class TaskModels:
    """A task as the repository has it now.

    steps: models that clients do not ask; fused: models with a process that they ask; ensembles: the plain one last.
    """

    task: str
    version: int
    steps: tuple[str, ...]
    fused: tuple[str, ...]
    ensembles: tuple[str, ...]
    digest: str
    """Of everything that decides its answers."""


class View:
    """folder: where the view is, a folder of its own. names: the models in it that are served."""

    def __init__(self, folder: Path, repository: Path) -> None:
        self.folder, self.repository = folder, repository
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
        self.served = tasks(self.repository)
        self.processes = {name: set(task.steps) for name, task in self.served.items()}
        self.folder.mkdir(mode=0o700)
        for name in problems.model_folders(self.repository):
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

    def wrap(self, name: str, step: str) -> None:
        """Let `name` be an ensemble of the one model `step`, which the view has."""
        new = self.folder / f".{name}.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        for version in versions(self.folder / step):
            (new / str(version)).symlink_to((self.folder / step / str(version)).resolve())
        config = (self.folder / step / "config.pbtxt").read_text(encoding="utf-8")
        (new / "config.pbtxt").write_text(wrapped(config, name, step), encoding="utf-8")
        self._put(name, new)

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


def wrapped(config: str, name: str, step: str) -> str:
    """The configuration of an ensemble that passes everything on to one model, whose text the builder wrote."""
    blocks = re.findall(r"^(\w+)( \{\n.*?^\}|: ?[^\n]*)$", config, re.MULTILINE | re.DOTALL)
    kept = [word + rest for word, rest in blocks if word in ("max_batch_size", "input", "output")]
    told = [word + rest for word, rest in blocks if word == "parameters" and re.search(TOLD, rest)]
    maps = "".join(
        f'    {word}_map {{ key: "{tensor}" value: "{tensor}" }}\n'
        for word, rest in blocks
        if word in ("input", "output")
        for tensor in re.findall(r'^  name: "([^"]+)"$', rest, re.MULTILINE)
    )
    schedule = f'ensemble_scheduling {{\n  step {{\n    model_name: "{step}"\n    model_version: -1\n{maps}  }}\n}}'
    text = "\n".join([f'name: "{name}"', 'platform: "ensemble"', *kept, *told, schedule])
    return text.replace(f'key: "{HIDDEN}"', f'key: "{MANIFEST_PARAMETER}"') + "\n"


def tasks(repository: Path) -> dict[str, TaskModels]:
    """The tasks of a repository by name. ServeError where the models of one differ in their newest version."""
    members: dict[str, dict[str, int]] = {}
    for model in problems.model_folders(repository):
        numbers = versions(repository / model)
        if numbers and (task := _task(repository / model / str(numbers[-1]) / MANIFEST_FILE)):
            members.setdefault(task, {})[model] = numbers[-1]
    return {task: _models(repository, task, newest) for task, newest in members.items()}


def _task(manifest: Path) -> str:
    """The task that a manifest names; empty where there is none."""
    try:
        return str(json.loads(manifest.read_text(encoding="utf-8"))["task"])
    except (OSError, ValueError, LookupError, TypeError):
        return ""


def _models(repository: Path, task: str, newest: Mapping[str, int]) -> TaskModels:
    problems.check_same_version(task, newest)
    ensembles = {model for model in newest if problems.is_ensemble(repository / model)}
    fused = {model for model in newest.keys() - ensembles if _is_asked(repository / model)}
    digest = hashlib.sha256()
    for model, version in sorted(newest.items()):
        folder = repository / model
        for file in (folder / "config.pbtxt", *sorted(folder.glob("configs/*")), folder / str(version) / MANIFEST_FILE):
            digest.update(f"{model} {version} {file.name}\0".encode() + file.read_bytes() + b"\0")
    return TaskModels(
        task=task,
        version=next(iter(newest.values())),
        steps=tuple(sorted(newest.keys() - ensembles - fused)),
        fused=tuple(sorted(fused)),
        ensembles=tuple(sorted(ensembles, key=lambda model: (model == task, model))),
        digest=digest.hexdigest(),
    )


def _is_asked(model: Path) -> bool:
    """Whether a model's configuration has a manifest: then clients take it for a task."""
    config = (model / "config.pbtxt").read_text(encoding="utf-8", errors="replace")
    return re.search(MANIFEST_KEY, config) is not None


def _not_configuration(folder: str, names: list[str]) -> set[str]:
    """What is not copied: version folders."""
    return {name for name in names if name.isdigit()} if (Path(folder) / "config.pbtxt").exists() else set()


def _is_whole(model: Path) -> bool:
    return model.is_dir() and all(path.exists() for path in model.iterdir())
