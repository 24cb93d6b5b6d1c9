"""The wheels of the project, and small environments in which they are installed."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from ..e2e.conftest import build_arguments, repository, server  # noqa: F401, fixtures
from ..shared import made_once

ROOT = Path(__file__).parents[2]
PROJECT, WEIGHTS = "ernie-triton", "ernie-triton-assets"


@dataclass(frozen=True)
class Installed:
    """An environment with the wheels and what one extra declares, and nothing else."""

    root: Path
    home: Path

    @property
    def site(self) -> Path:
        """Where its packages are."""
        return next(self.root.glob("lib/python3.*/site-packages"))

    def run(self, *command: str, seconds: float = 300) -> subprocess.CompletedProcess[str]:
        """A command of the environment, run in a folder that has nothing to do with the checkout."""
        env = {"PATH": f"{self.root / 'bin'}:/usr/bin:/bin", "HOME": str(self.home), "LANG": "C.UTF-8"}
        env |= {name: os.environ[name] for name in ("OMP_NUM_THREADS",) if name in os.environ}
        program = str(self.root / "bin" / command[0])
        return subprocess.run(
            [program, *command[1:]],
            env=env,
            cwd=self.home,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def run(*command: str, **environment: str) -> None:
    """A command in the checkout; it must succeed."""
    done = subprocess.run(
        command, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="session")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with both wheels, as `make wheels` builds them."""

    def build(folder: Path) -> None:
        source = [".", "builders/assets_wheel"]
        options = ["--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", str(folder)]
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet"]
        run(*pip, "wheel", *options, *source, ERNIE_TRITON_RELEASE="1")

    return made_once("wheels", build, tmp_path_factory)


def closure(project: str, extra: str) -> dict[str, metadata.Distribution]:
    """What a project with an extra declares that it needs, and what that needs, by name; the project itself not."""
    found: dict[str, metadata.Distribution] = {}
    seen, pending = set(), [(project, extra), (project, "")]
    while pending:
        name, extra = pending.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        try:
            distribution = metadata.distribution(name)
        except metadata.PackageNotFoundError:
            continue  # such as perf-analyzer, which is not in the lock file
        if name not in (PROJECT, WEIGHTS):
            found[name] = distribution
        for line in distribution.requires or []:
            requirement = Requirement(line)
            if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
                pending += [(requirement.name, part) for part in ("", *requirement.extras)]
    return found


def link(distribution: metadata.Distribution, target: Installed) -> None:
    """Put an installed distribution of the running environment into another, by links."""
    files = distribution.files or []
    places = {name: target.site / name for name in {file.parts[0] for file in files} - {".."}}
    places |= {
        file: target.root / "bin" / file.name
        for file in files
        if file.parts[0] == ".." and file.parts[-2] == "bin" and file.name.startswith("perf_")
    }
    for file, place in places.items():
        source = Path(str(distribution.locate_file(file)))
        if source.exists() and not place.exists():
            place.symlink_to(source.resolve())


@pytest.fixture(scope="session")
def install(wheels: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Installed]:
    """Makes an environment with the wheel and the declared dependencies of an extra.

    The dependencies are those of the running environment: versions are the lock file's. What pip would choose with a
    network is tested by tests/packaging/fresh_installs.sh.
    """

    @cache
    def make(extra: str, *, weights: bool = True) -> Installed:
        root = tmp_path_factory.mktemp(extra) / "env"
        installed = Installed(root, root.parent / "elsewhere")
        installed.home.mkdir()
        venv.create(root, symlinks=True, with_pip=False)
        needed = ["ernie_triton-*.whl"]
        if weights and extra in ("build", "perf"):
            needed.append("ernie_triton_assets-*.whl")
        files = [str(next(wheels.glob(pattern))) for pattern in needed]
        uv = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--quiet", "--offline", "--no-cache"]
        run(*uv, "--no-index", "--no-deps", "--python", str(root / "bin" / "python"), *files)
        for distribution in closure(PROJECT, extra).values():
            link(distribution, installed)
        return installed

    return make
