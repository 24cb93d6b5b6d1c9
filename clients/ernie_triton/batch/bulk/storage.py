"""Folders of files, here or in object storage: list, read, put as a whole."""

from __future__ import annotations

import glob
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any, Protocol

from ...errors import FileError
from ..parquet import need_pyarrow
from ..source import PEEK

WILDCARDS = "*["
SCHEME = "://"


@dataclass(frozen=True, kw_only=True)
class StoredFile:
    """A file of the input."""

    path: str  # as it is opened; of a URL without the scheme
    name: str  # below the folder that was asked for
    size: int  # bytes
    changed: int  # ns


class Storage(Protocol):
    """What this machine's folders and object storage have in common. Errors: FileError."""

    def files(self, pattern: str) -> list[StoredFile]:
        """Those that match a path with wildcards, or are below a folder, by name; hidden ones and _NAMES left out."""

    def names(self, folder: str) -> set[str]:
        """Paths below a folder; empty where there is none."""

    def open(self, path: str) -> Any:
        """A context manager: the file, open for reading, and for seeking."""

    def put(self, local: Path, path: str) -> None:
        """Copy a file to its place, where it appears as a whole or not at all."""

    def remove(self, path: str) -> None:
        """Remove a file."""


class Folders:
    """Files of this machine, or of a disk that it shares with others."""

    def files(self, pattern: str) -> list[StoredFile]:
        """As Storage.files."""
        root, below = _split(pattern, os.path.isdir(pattern))
        found = glob.glob(below, root_dir=root or ".", recursive=True)
        paths = [(name, os.path.join(root, name)) for name in sorted(found) if not _hidden(name)]
        statuses = [(name, path, os.stat(path)) for name, path in paths if os.path.isfile(path)]
        return [StoredFile(path=p, name=n, size=s.st_size, changed=s.st_mtime_ns) for n, p, s in statuses]

    def names(self, folder: str) -> set[str]:
        """As Storage.names."""
        return {str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file()}

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """As Storage.open."""
        with _named(path, "read"), open(path, "rb", buffering=PEEK) as stream:
            yield stream

    def put(self, local: Path, path: str) -> None:
        """As Storage.put."""
        with _named(path, "written"):
            os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
            partial = os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{os.getpid()}.partial")
            try:
                shutil.copyfile(local, partial)
                with open(partial, "rb") as file:
                    os.fsync(file.fileno())
                os.replace(partial, path)
            finally:
                Path(partial).unlink(missing_ok=True)

    def remove(self, path: str) -> None:
        """As Storage.remove."""
        with _named(path, "removed"):
            os.unlink(path)


class Objects:
    """Object storage (s3://, gs://, ...), by pyarrow."""

    def __init__(self, system: Any) -> None:
        self._system = system

    def files(self, pattern: str) -> list[StoredFile]:
        """As Storage.files."""
        from pyarrow import fs

        folder = not any(sign in pattern for sign in WILDCARDS)
        if folder and self._info(pattern).type == fs.FileType.File:
            return [_stored(self._info(pattern), pattern.rpartition("/")[0])]
        root, below = _split(pattern, folder)
        with _named(pattern, "listed"):
            infos = self._system.get_file_info(fs.FileSelector(root, recursive=True, allow_not_found=True))
        stored = [_stored(info, root) for info in infos if info.type == fs.FileType.File]
        matching = [file for file in stored if not _hidden(file.name) and _matches(file.name, below)]
        return sorted(matching, key=lambda file: file.name)

    def names(self, folder: str) -> set[str]:
        """As Storage.names."""
        from pyarrow import fs

        with _named(folder, "listed"):
            infos = self._system.get_file_info(fs.FileSelector(folder, recursive=True, allow_not_found=True))
        return {_stored(info, folder).name for info in infos if info.type == fs.FileType.File}

    @contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """As Storage.open."""
        with _named(path, "read"), self._system.open_input_file(path) as stream:
            yield stream

    def put(self, local: Path, path: str) -> None:
        """As Storage.put: an object is there once its upload ends."""
        with _named(path, "written"), self._system.open_output_stream(path) as out:
            out.write(local.read_bytes())  # a part, in one go: an upload that fails between would end as an object

    def remove(self, path: str) -> None:
        """As Storage.remove."""
        with _named(path, "removed"):
            self._system.delete_file(path)

    def _info(self, path: str) -> Any:
        with _named(path, "read"):
            return self._system.get_file_info(path)


def open_storage(address: str) -> tuple[Storage, str]:
    """What holds a path or URL, and the path there. FileError for a URL that cannot be used."""
    if SCHEME not in address:
        return Folders(), address
    if address.startswith("file://"):
        return Folders(), address.removeprefix("file://")
    need_pyarrow(address)
    import pyarrow
    from pyarrow import fs

    scheme, _, rest = address.partition(SCHEME)
    path, mark, options = rest.partition("?")
    bucket, slash, key = path.partition("/")
    try:  # the wildcards of a pattern are no part of a URL
        system, root = fs.FileSystem.from_uri(f"{scheme}{SCHEME}{bucket}{mark}{options}")
    except (ValueError, OSError, pyarrow.ArrowException) as error:
        raise FileError(f"{address} cannot be used: {str(error).splitlines()[0]}") from None
    return Objects(system), f"{root}{slash}{key}".rstrip("/")


def _split(pattern: str, folder: bool) -> tuple[str, str]:
    """The folder that a pattern begins with, and the rest, which has the wildcards."""
    if folder:
        return pattern.rstrip("/"), "**/*"
    parts = pattern.split("/")
    first = next((i for i, part in enumerate(parts) if any(sign in part for sign in WILDCARDS)), len(parts) - 1)
    return "/".join(parts[:first]) or ("/" if pattern.startswith("/") else ""), "/".join(parts[first:])


def _hidden(name: str) -> bool:
    """Not data, as Hadoop, Spark and pyarrow take it: `_SUCCESS`, `.part.crc`."""
    return any(part.startswith(("_", ".")) for part in name.split("/"))


def _matches(name: str, pattern: str) -> bool:
    """As a shell with globstar does: `*` stays within a folder, `**` does not."""
    regex = ""
    for piece in re.split(r"(\*\*/|\*|\[[^\]]+\])", pattern):
        known = {"**/": "(?:.*/)?", "*": "[^/]*"}
        regex += known.get(piece) or (piece if piece.startswith("[") and len(piece) > 2 else re.escape(piece))
    return re.fullmatch(regex, name) is not None


def _stored(info: Any, root: str) -> StoredFile:
    name = info.path.removeprefix(root.strip("/") + "/")
    return StoredFile(path=info.path, name=name, size=info.size, changed=info.mtime_ns or 0)


@contextmanager
def _named(path: str, done: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error).splitlines()[0]
        raise FileError(f"{path} cannot be {done}: {reason}") from None
