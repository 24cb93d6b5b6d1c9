"""Find a task's data: a folder, an archive to unpack, or the sample that ships."""

from __future__ import annotations

import lzma
import tarfile
from pathlib import Path

from ernie_runtime.archives import UnsafeArchive, unpack_tar

from ..config.tasks import ASSETS, DataConfig
from ..console import say
from ..errors import DataError
from ..filesystem import locked, sha256_of, whole_folder


def data_folder(data: DataConfig, data_dir: Path | None, profile: str, cache: Path) -> tuple[Path | None, str]:
    """The folder with the task's files and the name of its dev split; the folder is None where there is no data.

    The folder is under `data_dir` if that is given (split "dev"), else the sample that ships (split "sample", demo
    profile only). DataError for data that is missing or broken.
    """
    if data_dir is not None:
        if not data_dir.is_dir():
            raise DataError(f"--data-dir {data_dir}: no such directory")
        folder = data_dir / data.folder
        if folder.is_dir():
            return folder, "dev"
        archive = data_dir / f"{data.folder}.tar.xz"
        if archive.is_file():
            return _unpack(archive, data, cache), "dev"
        raise DataError(f"{folder}: no such directory, and no {archive.name} beside it")
    if profile == "full":
        raise DataError("--profile full trains on real data: give --data-dir")
    sample = ASSETS / data.sample if data.sample else None
    return (sample, "sample") if sample is not None and sample.is_dir() else (None, "sample")


def unpacked_folder(archive: Path, data: DataConfig, cache: Path) -> Path:
    """Where a build unpacks an archive's folder; archives with other contents have other places."""
    name = Path(data.folder).name  # of whatever path: nothing is unpacked outside of the cache
    return cache / "data" / f"{name}-{sha256_of(archive)[:12]}" / name


def _unpack(archive: Path, data: DataConfig, cache: Path) -> Path:
    """Unpack NAME.tar.xz, which holds one folder NAME, once."""
    folder = unpacked_folder(archive, data, cache)
    home = folder.parent
    try:
        home.parent.mkdir(parents=True, exist_ok=True)
        with locked(home.parent):  # another build may be unpacking the same archive
            if folder.is_dir():
                return folder
            say(f"  unpacking {archive.name}")
            with whole_folder(home) as new:
                unpack_tar(archive, new)
                if not (new / folder.name).is_dir():
                    raise DataError(f"{archive}: holds no folder {folder.name}/")
    except (UnsafeArchive, tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise DataError(f"{archive}: cannot be unpacked ({str(error).splitlines()[0]})") from None
    return folder
