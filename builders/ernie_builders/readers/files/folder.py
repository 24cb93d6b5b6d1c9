"""Folders in the place of a file."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import DataError
from .columnar import is_datasets_folder

SHARD = re.compile(r"(.+-)(\d{5})-of-(\d{5})(\..+)?")  # train-00000-of-00002.parquet, as Hugging Face names them


def parts_of(path: Path) -> list[Path]:
    """The file itself, also one that is missing, and a folder that `datasets` saved; of another folder its files.

    The first of several shards stands for all. Numbers in names count as numbers: 2 comes before 10. DataError for a
    folder without files, and for a shard that is missing.
    """
    if (shard := SHARD.fullmatch(path.name)) and int(shard[2]) == 0:
        names = [f"{shard[1]}{i:05}-of-{shard[3]}{shard[4] or ''}" for i in range(int(shard[3]))]
        files = [path.with_name(name) for name in names]
        if missing := [file.name for file in files[1:] if not file.exists()]:
            raise DataError(f"{path}: {', '.join(missing)} of its shards are not beside it")
        return files
    if not path.is_dir() or is_datasets_folder(path):
        return [path]
    files = [entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith((".", "_"))]
    if not files:
        raise DataError(f"{path}: a folder without files")
    return sorted(files, key=lambda file: [(len(part), part) for part in re.split(r"(\d+)", file.name)])
