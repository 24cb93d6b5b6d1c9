"""Finds NVIDIA's perf_analyzer inside the tritonclient wheel and the libraries it wants."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
from pathlib import Path

from ernie_serve.backends import cache_root
from ernie_serve.problems import ServeError
from ernie_serve.wheel import find_wheel

INSTALL = 'pip install "tritonclient[all]==2.50.0"'
PINNED = f"the one that this project is made with: {INSTALL} (Linux x86-64, glibc 2.35 or later)"
LIBRARIES = {"libb64.so.0d": "libb64-*.so.0d", "libcudart.so.12": "libcudart-*.so.12*"}
"""What the binary asks for, and the hashed copies that nvidia-pytriton brings along."""


def locate() -> tuple[Path, dict[str, str]]:
    """The binary and the environment to run it in; it is run once, to be sure that it can.

    Errors: ServeError when a wheel is missing, of a version without the binary, or the binary does not start.
    """
    binary = _binary()
    folder = cache_root() / "perf-analyzer-lib"
    libraries = find_wheel().libraries
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, pattern in LIBRARIES.items():
            _link(next(iter(sorted(libraries.glob(pattern)))), folder / name)
    except StopIteration:
        raise ServeError(f"nvidia-pytriton lacks {name}, which perf_analyzer needs: install 0.7.0") from None
    except OSError as error:
        raise ServeError(f"cannot write {folder}: {error.strerror}") from None
    inherited = os.environ.get("LD_LIBRARY_PATH")
    env = dict(os.environ, LD_LIBRARY_PATH=os.pathsep.join([str(folder), *([inherited] if inherited else [])]))
    try:
        done = subprocess.run([binary, "--version"], env=env, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServeError(f"perf_analyzer does not start: {error}; {PINNED}") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise ServeError(f"perf_analyzer does not run here: {lines[0]}; {PINNED}")
    return binary, env


def _binary() -> Path:
    try:
        distribution = importlib.metadata.distribution("tritonclient")
    except importlib.metadata.PackageNotFoundError:
        raise ServeError(f"perf_analyzer comes with tritonclient, which is not installed: {INSTALL}") from None
    for file in distribution.files or []:
        path = Path(str(distribution.locate_file(file))).resolve()
        if path.name == "perf_analyzer" and path.is_file():
            return path
    raise ServeError(f"tritonclient {distribution.version} here has no perf_analyzer: {INSTALL} (Linux x86-64)")


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() and os.readlink(target) == str(source):
        return
    temporary = target.with_name(f".tmp{os.getpid()}-{target.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(source)
    os.replace(temporary, target)
