"""What the rules look at: a model directory with the files of it that could be read. What they give: findings."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from google.protobuf.text_format import ParseError
from tritonclient.grpc import model_config_pb2 as pb

from ernie_runtime.errors import ManifestError
from ernie_runtime.kinds import get_kind
from ernie_runtime.manifest import Manifest
from ernie_runtime.names import MANIFEST_FILE
from ernie_runtime.repository import versions

from ..repository.model_config import PORTABLE, from_text

_STEP = re.compile("_(tokenizer|postprocess|encoder_.*)$")


@dataclass(frozen=True, order=True)
class Finding:
    """One fault; `file` is relative to the repository."""

    file: str
    problem: str
    fix: str

    def __str__(self) -> str:
        return f"{self.file}: {self.problem}: {self.fix}"


class Unreadable(NamedTuple):
    """A file of a model directory that is missing or malformed; `file` is relative to the directory."""

    file: str
    problem: str


class Served(NamedTuple):
    """A configuration as a server uses it; `file` is relative to the repository."""

    file: str
    config: pb.ModelConfig


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model directory: the configurations that parse, by file, and the manifests that load, by version."""

    folder: Path
    configs: Mapping[str, pb.ModelConfig]
    manifests: Mapping[int, Manifest]
    task: str = ""  # the task that it belongs to; empty if no manifest tells

    @property
    def name(self) -> str:
        """The directory's name, which must be the model's."""
        return self.folder.name

    @cached_property
    def versions(self) -> list[int]:
        """Ascending."""
        return versions(self.folder)

    @property
    def newest(self) -> int:
        """The newest version; 0 if there is none."""
        return max(self.versions, default=0)

    @property
    def republish(self) -> str:
        """The fix of most findings."""
        return f"publish {self.task or _STEP.sub('', self.name)} again"

    def served(self, flavour: str) -> Served | None:
        """The configuration under `--model-config-name`; Triton falls back to the portable one."""
        file = flavour if (self.folder / flavour).is_file() else PORTABLE
        return Served(f"{self.name}/{file}", self.configs[file]) if file in self.configs else None


def read_model(folder: Path) -> tuple[Model, list[Unreadable]]:
    """Read a model directory; what could not be read is listed beside it."""
    configs: dict[str, pb.ModelConfig] = {}
    manifests: dict[int, Manifest] = {}
    unreadable = []
    for version in versions(folder):
        path = folder / str(version) / MANIFEST_FILE
        try:
            if path.exists():
                manifest = Manifest.load(path)
                get_kind(manifest.kind).check(manifest)
                manifests[version] = manifest
        except ManifestError as error:
            unreadable.append(Unreadable(f"{version}/{MANIFEST_FILE}", str(error).removeprefix(f"{path}: ")))
    for file in (PORTABLE, *(f"configs/{path.name}" for path in sorted(folder.glob("configs/*.pbtxt")))):
        try:
            configs[file] = from_text((folder / file).read_text(encoding="utf-8"))
        except FileNotFoundError:
            unreadable.append(Unreadable(file, "missing"))
        except UnicodeDecodeError as error:
            unreadable.append(Unreadable(file, f"not UTF-8 ({error.reason} at byte {error.start})"))
        except ParseError as error:
            problem = f"line {error.GetLine()}: no ModelConfig ({' '.join(str(error).split())})"
            unreadable.append(Unreadable(file, problem))
    return Model(folder=folder, configs=configs, manifests=manifests), unreadable
