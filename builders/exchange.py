"""Put a finished directory into the repository in one step: a server sees the old one or the new one."""

from __future__ import annotations

import ctypes
import errno
import os
import shutil
from pathlib import Path

from ernie_runtime.repository import versions

from .errors import PublishError


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
