"""The files of a data set: which one is trained on, which one evaluates, which one names the labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ernie_runtime.delimited import TAB

from ...errors import DataError
from ..files.columnar import is_datasets_folder
from ..files.lines import lines

SPLITS = {"train": ("train", "训练"), "dev": ("dev", "valid", "validation", "eval", "验证"), "test": ("test", "测试")}
LABEL_FILES = re.compile(
    r"(.*[_-])?(label|labels|label_list|label_map|labelmap|class|classes|taxonomy|标签)(\.txt|\.tsv|\.dict)?"
)
DATA = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx", ".parquet", "")
PACKED = (".gz", ".xz")


@dataclass(frozen=True, kw_only=True)
class DataSet:
    """Paths by split, and the file of label names."""

    files: Mapping[str, Path] = field(default_factory=dict)
    label_file: Path | None = None


def data_set(path: Path) -> DataSet:
    """The files at `path`: of a folder its splits; of a file itself, and other splits beside it.

    DataError where there is nothing, or several files of which none is called train.
    """
    if not path.exists():
        raise DataError(f"{path}: no such file or folder")
    if path.is_dir() and not is_datasets_folder(path):
        entries = sorted(entry for entry in path.iterdir() if not entry.name.startswith("."))
        files = _splits(entries)
        if "train" not in files:
            candidates = [entry for entry in entries if _is_data(entry) and entry not in files.values()]
            if len(candidates) != 1:
                names = ", ".join(entry.name for entry in candidates[:6]) or "none"
                raise DataError(f"{path}: no file is called train, and {len(candidates)} others may be it: {names}")
            files = {"train": candidates[0], **files}
    else:
        entries = sorted(path.parent.iterdir())
        others = _splits(entries) if _split_of(path) == "train" else {}
        same_form = {split: other for split, other in others.items() if other.suffix == path.suffix}
        files = {"train": path, **{split: other for split, other in same_form.items() if split != "train"}}
    label_file = next((entry for entry in entries if entry.is_file() and LABEL_FILES.fullmatch(entry.name)), None)
    return DataSet(files=files, label_file=label_file)


def label_lines(path: Path) -> list[tuple[str, str]]:
    """(label, its readable name or "") of each line of a label file."""
    rows = [[cell.strip() for cell in line.split(TAB)] for _, line in lines(path) if line.strip()]
    return [(row[0], row[1] if len(row) > 1 else "") for row in rows]


def _splits(entries: list[Path]) -> dict[str, Path]:
    """The first file of each split; several that share a name up to a number are shards, and cannot be one file."""
    files: dict[str, Path] = {}
    for entry in entries:
        split = _split_of(entry)
        if split and (_is_data(entry) or entry.is_dir()):
            files.setdefault(split, entry)
    return {split: files[split] for split in SPLITS if split in files}


def _split_of(path: Path) -> str:
    parts = re.split(r"[._-]", path.name.lower())
    return next((split for split, names in SPLITS.items() for part in parts if part.startswith(names)), "")


def _is_data(path: Path) -> bool:
    name = path.name.lower()
    for suffix in PACKED:
        name = name.removesuffix(suffix)
    suffix = Path(name).suffix
    is_data = (
        (suffix in DATA or suffix[1:].isdecimal()) and not LABEL_FILES.fullmatch(name) and not name.startswith("readme")
    )
    return is_datasets_folder(path) if path.is_dir() else is_data
