"""Archives of others: unpacked below a folder and nowhere else, and within bounds.

An archive of some kilobytes can hold terabytes of zeros, or members named ../../.bashrc: bounds follow the size of the
file, since text compresses ten to a hundred times, and a bomb a thousand times and more.
"""

from __future__ import annotations

import lzma
import tarfile
import zipfile
from os import SEEK_END
from pathlib import Path, PurePosixPath
from typing import IO, Any

RATIO = 200  # bytes of contents for a byte of archive
SMALL = 64 * 2**20  # bytes of contents that any archive may have
MEMBERS = 100_000
XZ_MEMORY = 256 * 2**20  # bytes: more than any preset of xz takes


HEADER = 2**20  # bytes of a member's long name and further headers
_HEADERS = (
    tarfile.XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)


class UnsafeArchive(Exception):
    """An archive that is not unpacked; the message says which member, or what is too much."""


class _Member(tarfile.TarInfo):
    """Headers of bounded length: tarfile reads them as a whole."""

    def _proc_member(self, archive: tarfile.TarFile) -> Any:
        if self.type in _HEADERS and self.size > HEADER:
            raise UnsafeArchive(f"a header of {self.size:,} bytes in it")
        return super()._proc_member(archive)  # type: ignore[misc]


def unpack_tar(archive: Path, folder: Path) -> None:
    """Unpack a tar archive, compressed or not, into a folder that exists; nothing is left where it is refused.

    Files and folders only: links and devices are refused, as are names that lead out of the folder. Modes and owners
    are left out. UnsafeArchive; OSError, tarfile.TarError, lzma.LZMAError and EOFError for what is damaged.
    """
    most, contents = _most(archive), 0
    with tarfile.open(archive, tarinfo=_Member) as tar:
        for number, member in enumerate(tar, 1):
            contents += member.size
            if number > MEMBERS or contents > most:
                raise UnsafeArchive(f"more than {MEMBERS:,} members or {most:,} bytes in it")
            target = folder / _inside(member.name)
            if member.isdir():
                target.mkdir(parents=True, exist_ok=True)
            elif member.isfile() and (source := tar.extractfile(member)) is not None:
                target.parent.mkdir(parents=True, exist_ok=True)
                with source, target.open("xb") as file:
                    while part := source.read(2**20):
                        file.write(part)
            else:
                raise UnsafeArchive(f"{member.name!r:.200} is no file and no folder")


def check_zip(file: Path | IO[bytes]) -> None:
    """UnsafeArchive where a zip file's contents are out of proportion; zipfile.BadZipFile where it is none."""
    size = file.stat().st_size if isinstance(file, Path) else file.seek(0, SEEK_END)
    with zipfile.ZipFile(file) as archive:
        members, most = archive.infolist(), max(SMALL, RATIO * size)
        if len(members) > MEMBERS or sum(member.file_size for member in members) > most:
            raise UnsafeArchive(f"more than {MEMBERS:,} members or {most:,} bytes in it")


def unpack_xz(path: Path) -> bytes:
    """The contents of an .xz file; UnsafeArchive where they are out of proportion, lzma.LZMAError where it is none."""
    most = _most(path)
    unpacker = lzma.LZMADecompressor(lzma.FORMAT_XZ, XZ_MEMORY)
    contents = unpacker.decompress(path.read_bytes(), most + 1)
    if len(contents) > most:
        raise UnsafeArchive(f"more than {most:,} bytes in it")
    if not unpacker.eof or unpacker.unused_data:
        raise lzma.LZMAError("it is cut, or something follows it")
    return contents


def _most(path: Path) -> int:
    return max(SMALL, RATIO * path.stat().st_size)


def _inside(name: str) -> PurePosixPath:
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\0" in name or "\\" in name:
        raise UnsafeArchive(f"{name!r:.200} leads out of it")
    return path
