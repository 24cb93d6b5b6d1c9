"""Files and folders that are whole or not there, locks, hashes, and messages for a disk that fails.

Whatever must survive a kill, a power cut or a full disk is written here: beside its place, synced, and put there in one
step. Until that step the old contents stay. A kill may leave a hidden `.NAME*.new` behind; nothing reads it.
"""

from __future__ import annotations

import ctypes
import errno
import fcntl
import hashlib
import json
import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BuildError

_BLOCK = 1 << 20  # bytes of a file that are hashed at once


def write_file(path: Path, data: str | bytes) -> None:
    """Write a file (text as UTF-8) so that a reader finds the old contents or the new ones, never a part."""
    with whole_file(path) as new:
        new.write_bytes(data.encode("utf-8") if isinstance(data, str) else data)


def write_json(path: Path, value: object) -> None:
    """Write JSON for people and machines as `write_file` does: indented, Chinese readable."""
    write_file(path, json.dumps(value, ensure_ascii=False, indent=1) + "\n")


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to; when the block ends without an error, the file takes the place of `path` in one step.

    Several threads and processes may write the same file: the last one wins. An OSError names `path`.
    """
    new = path.with_name(f".{path.name}.{threading.get_native_id()}.new")
    try:
        yield new
        _sync(new)
        os.replace(new, path)
        _sync(path.parent)
    except OSError as error:
        if error.filename in (None, str(new)):
            error.filename, error.filename2 = str(path), None
        raise
    finally:
        new.unlink(missing_ok=True)


@contextmanager
def whole_folder(target: Path) -> Iterator[Path]:
    """An empty folder to fill; when the block ends without an error, it takes the place of `target` in one step.

    For one writer at a time: writers that may meet take a lock.
    """
    new = target.with_name(f".{target.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        new.mkdir(parents=True)
        yield new
        put_in_place(new, target)
    finally:
        shutil.rmtree(new, ignore_errors=True)


def put_in_place(new: Path, target: Path) -> None:
    """Sync a finished folder and move it to `target` in one step; what was there is removed.

    A server or reader sees the old folder or the new one. Both must lie on one file system.
    """
    _sync_tree(new)
    if target.exists():
        _exchange(new, target)
        shutil.rmtree(new, ignore_errors=True)
    else:
        new.rename(target)
    _sync(target.parent)


def find_whole(folder: Path) -> Path | None:
    """A folder that `put_in_place` left, or None.

    On a file system that cannot exchange folders in one step, a kill may leave it under the name it gave way by.
    """
    return next((path for path in (folder, _aside(folder)) if path.is_dir()), None)


def _exchange(new: Path, target: Path) -> None:
    """Swap two folders in one step (Linux renameat2, RENAME_EXCHANGE); in three where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    here, swap = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    if libc.renameat2(here, os.fsencode(new), here, os.fsencode(target), swap) == 0:
        return
    code = ctypes.get_errno()
    if code not in (errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP):
        raise OSError(code, os.strerror(code), str(target))
    aside = _aside(target)
    shutil.rmtree(aside, ignore_errors=True)
    target.rename(aside)
    new.rename(target)
    aside.rename(new)


def _aside(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.old")


def _sync_tree(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file() or path.is_dir():
            _sync(path)
    _sync(folder)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EOPNOTSUPP):  # file systems that cannot sync a directory
            raise
    finally:
        os.close(handle)


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder that exists; other processes and threads wait."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def sha256_of(path: Path) -> str:
    """SHA-256 of a file's bytes, in hexadecimal."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            digest.update(block)
    return digest.hexdigest()


def hash_of(path: Path) -> str:
    """SHA-256 of a file, or one of the names and hashes of a folder's files."""
    if not path.is_dir():
        return sha256_of(path)
    files = sorted(entry for entry in path.rglob("*") if entry.is_file())
    return key_of({str(file.relative_to(path)): sha256_of(file) for file in files})


def key_of(inputs: object) -> str:
    """12 hexadecimal digits that identify JSON data."""
    text = json.dumps(inputs, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()[:12]


def disk_error(error: OSError, where: Path) -> BuildError:
    """The message for a file that cannot be read or written; it names `where` if the error names no file."""
    if error.errno == errno.ENOSPC:
        return BuildError(
            f"{where}: the disk is full; free some space and run the same command again, it goes on from here"
        )
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return BuildError(f"{error.filename or where}: no permission to write; choose another --cache or --output")
    return BuildError(f"{error.filename or where}: {error.strerror or error}")
