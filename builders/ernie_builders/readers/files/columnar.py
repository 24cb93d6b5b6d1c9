"""Parquet files and folders that `datasets` saved, read with pyarrow."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ernie_runtime.json_types import Json, JsonObject

from ...errors import DataError

if TYPE_CHECKING:
    import pyarrow

PARQUET = b"PAR1"
STATE, INFO = "state.json", "dataset_info.json"
BATCH = 1000  # rows that become Python objects at once


@dataclass(frozen=True, kw_only=True)
class Columnar:
    """The rows of a file of columns."""

    container: str
    columns: tuple[str, ...]
    rows: Iterator[JsonObject]
    class_names: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def read_parquet(path: Path) -> Columnar:
    """A parquet file; names of classes are in its metadata where `datasets` wrote it."""
    _need_pyarrow(path)
    import pyarrow
    import pyarrow.parquet

    try:
        table = pyarrow.parquet.read_table(path)
    except (OSError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: no parquet file that can be read ({str(error).splitlines()[0]})") from None
    metadata = (table.schema.metadata or {}).get(b"huggingface", b"{}")
    features = json.loads(metadata).get("info", {}).get("features", {})
    return _columnar("parquet", table, features)


def is_datasets_folder(path: Path) -> bool:
    """Whether `datasets` saved a data set, one split, in this folder."""
    return (path / STATE).is_file() and (path / INFO).is_file()


def read_datasets_folder(path: Path) -> Columnar:
    """A folder of Dataset.save_to_disk: Arrow files named by state.json, features in dataset_info.json."""
    if not is_datasets_folder(path):
        raise DataError(f"{path}: a folder without {STATE} and {INFO}, which `datasets` writes: name a file in it")
    _need_pyarrow(path)
    import pyarrow

    try:
        state = json.loads((path / STATE).read_text(encoding="utf-8"))
        info = json.loads((path / INFO).read_text(encoding="utf-8"))
        tables = []
        for file in state["_data_files"]:
            with pyarrow.OSFile(str(path / file["filename"])) as source:
                tables.append(pyarrow.ipc.open_stream(source).read_all())
        table = pyarrow.concat_tables(tables)
    except (OSError, ValueError, KeyError, TypeError, pyarrow.ArrowException) as error:
        raise DataError(f"{path}: no datasets folder that can be read ({error!r:.100})") from None
    return _columnar("a datasets folder", table, info.get("features") or {})


def _columnar(container: str, table: pyarrow.Table, features: Json) -> Columnar:
    names = {column: _class_names(feature) for column, feature in features.items()}

    def rows() -> Iterator[JsonObject]:
        for batch in table.to_batches(max_chunksize=BATCH):
            yield from batch.to_pylist()

    return Columnar(
        container=container,
        columns=tuple(table.column_names),
        rows=rows(),
        class_names={column: found for column, found in names.items() if found},
    )


def _class_names(feature: Any) -> tuple[str, ...]:
    """The names of a ClassLabel, or of a list of them; empty for other features."""
    if isinstance(feature, list) and feature:
        return _class_names(feature[0])
    if not isinstance(feature, dict):
        return ()
    if feature.get("_type") == "ClassLabel":
        return tuple(str(name) for name in feature.get("names") or ())
    return _class_names(feature.get("feature"))


def _need_pyarrow(path: Path) -> None:
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise DataError(f"{path}: reading it takes pyarrow: pip install 'ernie-triton[formats]'") from None
