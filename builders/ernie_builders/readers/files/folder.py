"""Folders in the place of a file."""

from __future__ import annotations

import re
from pathlib import Path

from ...errors import DataError
from .columnar import is_datasets_folder


def parts_of(path: Path) -> list[Path]:
    """The file itself, also one that is missing, and a folder that `datasets` saved; of another folder its files.

    Numbers in names count as numbers: 2 comes before 10. DataError for a folder without files.
    """
    if not path.is_dir() or is_datasets_folder(path):
        return [path]
    files = [entry for entry in path.iterdir() if entry.is_file() and not entry.name.startswith((".", "_"))]
    if not files:
        raise DataError(f"{path}: a folder without files")
    return sorted(files, key=lambda file: [(len(part), part) for part in re.split(r"(\d+)", file.name)])
