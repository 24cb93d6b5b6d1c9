"""Finds a perf_analyzer of NVIDIA's that runs here, and the libraries it needs."""

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
"""What tritonclient's binary asks for, and the hashed copies that nvidia-pytriton brings along."""
NAMES = ("perf_analyzer", "perf_client")
"""tritonclient installs the same binary twice; a launcher may have taken the place of the first."""
LAUNCHERS = "ernie_serve.launchers"
"""The module that a launcher starts, by which it is known."""


def locate() -> tuple[Path, dict[str, str]]:
    """The binary and the environment to run it in; it is run once, to be sure that it can.

    The wheel `perf-analyzer` is preferred: 2.60 needs glibc 2.38. Elsewhere tritonclient 2.50 has one for glibc 2.35.
    Errors: ServeError when a wheel is missing, of a version without the binary, or the binary does not start.
    """
    binary = _binary_of("perf-analyzer")
    if binary:
        try:
            return binary, _checked(binary, dict(os.environ))
        except ServeError:
            pass  # installed for a newer glibc
    binary = _binary_of("tritonclient")
    if not binary:
        raise ServeError(_missing())
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
    return binary, _checked(binary, env)


def _checked(binary: Path, env: dict[str, str]) -> dict[str, str]:
    """The environment given. Errors: ServeError when the binary does not run in it."""
    try:
        done = subprocess.run([binary, "--version"], env=env, capture_output=True, text=True, timeout=30, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise ServeError(f"perf_analyzer does not start: {error}; {PINNED}") from None
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or [f"exit code {done.returncode}"]
        raise ServeError(f"perf_analyzer does not run here: {lines[0]}; {PINNED}")
    return env


def _binary_of(package: str) -> Path | None:
    """The binary that an installed package brings; None without the package or without a binary in it."""
    try:
        distribution = importlib.metadata.distribution(package)
    except importlib.metadata.PackageNotFoundError:
        return None
    paths = [Path(str(distribution.locate_file(file))).resolve() for file in distribution.files or []]
    if package == "perf-analyzer":  # its script in bin/ starts the binary in the package
        paths = [path for path in paths if path.parent.name == "bin" and path.parent.parent.name == "perf_analyzer"]
    candidates = [path for name in NAMES for path in paths if path.name == name and path.is_file()]
    return next((path for path in candidates if not _is_launcher(path)), None)


def _is_launcher(path: Path) -> bool:
    with path.open("rb") as file:
        return LAUNCHERS.encode() in file.read(4096)


def _missing() -> str:
    try:
        version = importlib.metadata.distribution("tritonclient").version
    except importlib.metadata.PackageNotFoundError:
        return f"perf_analyzer comes with tritonclient, which is not installed: {INSTALL}"
    return f"tritonclient {version} here has no perf_analyzer: {INSTALL} (Linux x86-64)"


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() and os.readlink(target) == str(source):
        return
    temporary = target.with_name(f".tmp{os.getpid()}-{target.name}")
    temporary.unlink(missing_ok=True)
    temporary.symlink_to(source)
    os.replace(temporary, target)
