"""Files and folders that are whole or not there, locks, hashes, and what to say of a disk that fails."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ernie_runtime.repository import versions

from .errors import BuildError, PublishError


def move_in(staged: Path, model: Path, version: int) -> None:
    """Put one model into the repository in one step: a server sees the old directory or the new one, nothing between.

    The versions that the repository has go on living in the new directory (as hard links: nothing is copied).
    """
    if not model.exists():
        staged.rename(model)
        return
    if (model / str(version)).exists():
        raise PublishError(f"{model / str(version)}: exists already; another build is publishing the same task")
    for old in versions(model):
        shutil.copytree(model / str(old), staged / str(old), copy_function=os.link)
    exchange(staged, model)


def exchange(left: Path, right: Path) -> None:
    """Swap two directories in one step (Linux renameat2, RENAME_EXCHANGE); in two where the file system lacks it."""
    libc = ctypes.CDLL(None, use_errno=True)
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if libc.renameat2(here, os.fsencode(left), here, os.fsencode(right), swap) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        raise OSError(code, os.strerror(code), str(right))
    aside = left.with_name(left.name + ".old")
    right.rename(aside)
    left.rename(right)
    aside.rename(left)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One at a time inside a directory that exists; others wait. Between processes and between threads."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)


def replace_folder(new: Path, old: Path) -> None:
    """Put a finished directory in the place of an old one."""
    aside = old.with_name(old.name + ".old")
    shutil.rmtree(aside, ignore_errors=True)
    if old.exists():
        old.rename(aside)
    new.rename(old)
    shutil.rmtree(aside, ignore_errors=True)


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return (
            hashlib.file_digest(file, "sha256").hexdigest() if hasattr(hashlib, "file_digest") else _digest(file.read())
        )


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def key_of(inputs: Any) -> str:
    """12 hex digits that stand for the inputs."""
    return _digest(json.dumps(inputs, sort_keys=True, ensure_ascii=False, default=str).encode())[:12]


def disk_error(error: OSError, where: Path) -> BuildError:
    """What to tell a person about a file that cannot be read or written; `where` is used if the error names none."""
    if error.errno == errno.ENOSPC:
        return BuildError(
            f"{where}: the disk is full; free some space and run the same command again, it goes on from here"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BuildError(f"{error.filename or where}: no permission to write; choose another --cache or --output")
    return BuildError(f"{error.filename or where}: {error.strerror or error}")
