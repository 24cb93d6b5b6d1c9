"""Where a task's data is: a folder, an archive to unpack, or the sample that ships."""

from __future__ import annotations

import lzma
import shutil
import tarfile
from pathlib import Path

from .config import ASSETS, TaskConfig
from .errors import ConfigError, DataError
from .progress import say


def data_folder(task: TaskConfig, data_dir: Path | None, profile: str, cache: Path) -> tuple[Path | None, str]:
    """(folder with the task's files, split name): --data-dir first, else the sample that ships (demo profile only)."""
    if data_dir is not None:
        if not data_dir.is_dir():
            raise DataError(f"--data-dir {data_dir}: no such directory")
        folder = data_dir / task.data.folder
        if folder.is_dir():
            return folder, "dev"
        archive = data_dir / f"{task.data.folder}.tar.xz"
        if archive.is_file():
            return _unpack(archive, cache / "data" / task.data.folder, task.data.folder), "dev"
        raise DataError(f"{folder}: no such directory, and no {archive.name} beside it")
    if profile == "full":
        raise ConfigError("--profile full trains on real data: give --data-dir")
    sample = ASSETS / task.data.sample if task.data.sample else None
    return (sample, "sample") if sample is not None and sample.is_dir() else (None, "sample")


def _unpack(archive: Path, folder: Path, inside: str) -> Path:
    """Unpack NAME.tar.xz (one folder NAME) once; again where the archive is newer."""
    if folder.is_dir() and folder.stat().st_mtime >= archive.stat().st_mtime:
        return folder
    say(f"  unpacking {archive.name}")
    new = folder.with_name(folder.name + ".new")
    shutil.rmtree(new, ignore_errors=True)
    try:
        with tarfile.open(archive) as tar:
            tar.extractall(new, filter="data")
    except (tarfile.TarError, lzma.LZMAError, EOFError, OSError) as error:
        raise DataError(f"{archive}: cannot be unpacked ({str(error).splitlines()[0]})") from None
    if not (new / inside).is_dir():
        raise DataError(f"{archive}: holds no folder {inside}/")
    shutil.rmtree(folder, ignore_errors=True)
    (new / inside).rename(folder)
    folder.touch()
    new.rmdir()
    return folder
