"""The files of a data set: which one is trained on, which one evaluates, which one names the labels."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from ernie_runtime.delimited import TAB

from ...errors import DataError
from ..files.columnar import is_datasets_folder
from ..files.folder import SHARD
from ..files.lines import lines

SPLITS = {"train": ("train", "训练"), "dev": ("dev", "valid", "validation", "eval", "验证"), "test": ("test", "测试")}
LABEL_FILES = re.compile(
    r"(.*[_-])?(label|labels|label_list|label_map|labelmap|class|classes|taxonomy|标签)(\.txt|\.tsv|\.dict)?"
)
DATA = (".csv", ".tsv", ".txt", ".json", ".jsonl", ".xlsx", ".parquet", "")
PACKED = (".gz", ".xz")
HUB = "data"  # the folder that a data set of Hugging Face has its files in


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
        if not files and (path / HUB).is_dir():
            return data_set(path / HUB)
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
    """The file of each split: of shards the first one, which stands for all; else the one with the split's own name.

    DataError where several may be it: taking one of them would leave the others out in silence.
    """
    files: dict[str, Path] = {}
    for split in SPLITS:
        found = [entry for entry in entries if _split_of(entry) == split and (_is_data(entry) or entry.is_dir())]
        shards = {shard[1] + shard[3] for entry in found if (shard := SHARD.fullmatch(entry.name))}
        exact = [entry for entry in found if entry.name.lower().split(".")[0] in SPLITS[split]]
        if len(found) == 1 or (len(shards) == 1 and all(SHARD.fullmatch(entry.name) for entry in found)):
            files[split] = found[0]
        elif len(exact) == 1:
            files[split] = exact[0]
        elif found and split != "test":  # which is only looked at
            names = ", ".join(entry.name for entry in found[:6])
            raise DataError(f"{found[0].parent}: {len(found)} files may be {split}: {names}; give the file itself")
    return files


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
