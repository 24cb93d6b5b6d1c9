"""Assembles tritonserver's backend directory from the pip wheel and this project's backends."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

import ernie_runtime
from ernie_runtime.install import checkout
from ernie_serve.problems import ServeError
from ernie_serve.wheel import Wheel, python_version

LIBRARY = Path(ernie_runtime.__file__).parent
"""The package that the model.py files import, as a folder beside theirs."""
INSTALLED = Path(__file__).parent / "adapters"
"""Our own backends as package data; in a checkout links to those in python_backends/."""
CACHE_VARIABLE = "ERNIE_TRITON_CACHE"


def cache_root() -> Path:
    """The folder for files that can be made again.

    $ERNIE_TRITON_CACHE, else .cache of the checkout, else the user's cache folder.
    """
    configured = os.environ.get(CACHE_VARIABLE)
    if configured:
        return Path(configured).absolute()
    root = checkout()
    if root and os.access(root, os.W_OK):
        return root / ".cache"
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "ernie-triton"


def adapters() -> Path:
    """The folder of our own backends, each a folder with a model.py: python_backends/, or the installed package's."""
    root = checkout()
    return root / "python_backends" if root else INSTALLED


def assemble(wheel: Wheel, source: Path | None = None, cache: Path | None = None) -> Path:
    """Make or update the backend directory and return it.

    ``python/`` holds copies of the wheel's files, because Triton resolves links there and then misses the
    files beside them; our backends are links, so edits of a model.py take effect at the next start. Each
    entry is put in place by one rename, so several processes may do this at once, and under a running server.
    source: the folder of our backends, by default `adapters()`. Errors: ServeError when the cache directory cannot be
    written.
    """
    source = source or adapters()
    # Environments share the user's cache folder; each has backends of its own there.
    mark = "" if checkout() else f"-{hashlib.sha256(str(source).encode()).hexdigest()[:8]}"
    target = (cache or cache_root()) / f"triton-backends-{wheel.version}-py{python_version()}{mark}"
    try:
        (target / "python").mkdir(parents=True, exist_ok=True)
        for file in wheel.python_backend:
            _copy(file, target / "python" / file.name)
        ours = {path.parent.name: path.parent for path in source.glob("*/model.py")}
        ours[LIBRARY.name] = LIBRARY
        for name, folder in ours.items():
            _link(folder, target / name)
        for entry in target.iterdir():
            if entry.is_symlink() and entry.name not in ours and not entry.name.startswith(".tmp"):
                entry.unlink(missing_ok=True)
    except OSError as error:
        raise ServeError(
            f"cannot write the backend directory {target}: {error.strerror}; "
            f"set {CACHE_VARIABLE} to a folder that can be written"
        ) from None
    return target


def _copy(source: Path, target: Path) -> None:
    old, new = (target.stat() if target.is_file() else None), source.stat()
    if old and (old.st_size, int(old.st_mtime)) == (new.st_size, int(new.st_mtime)):
        return
    handle, name = tempfile.mkstemp(dir=target.parent, prefix=".tmp")
    os.close(handle)
    try:
        shutil.copy2(source, name)
        os.chmod(name, 0o755)
        os.replace(name, target)
    finally:
        Path(name).unlink(missing_ok=True)


def _link(source: Path, target: Path) -> None:
    if target.is_symlink() and os.readlink(target) == str(source):
        return
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target, ignore_errors=True)
    folder = tempfile.mkdtemp(dir=target.parent, prefix=".tmp")
    try:
        temporary = Path(folder) / target.name
        temporary.symlink_to(source)
        os.replace(temporary, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
