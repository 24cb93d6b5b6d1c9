"""The rows of parquet files as lines of JSON; needs pyarrow, which the extra `formats` brings."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import IO, Any

from ernie_runtime.install import install_hint

from ..errors import FileError

ROWS = 1024  # that are converted together


def need_pyarrow(what: str) -> None:
    """FileError where it is not installed."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ModuleNotFoundError:
        raise FileError(f"{what} takes pyarrow; the extra 'formats' brings it: {install_hint('formats')}") from None


def json_lines(stream: IO[bytes], name: str, first: int = 0, last: int | None = None) -> Iterator[bytes]:
    """The rows from `first` up to `last` (None: all), an object of JSON each; FileError where the file is no parquet.

    Dates, decimals and bytes become text, a number that JSON does not have (NaN) becomes null.
    """
    need_pyarrow(name)
    import pyarrow
    import pyarrow.parquet

    try:
        file = pyarrow.parquet.ParquetFile(stream)
        last = file.metadata.num_rows if last is None else last
        start = 0  # row at which the group begins
        for group in range(file.metadata.num_row_groups):
            end = start + file.metadata.row_group(group).num_rows
            if end > first and start < last:
                yield from _group_lines(file, group, first - start, last - start)
            start = end
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise FileError(f"{name} cannot be read as parquet: {str(error).splitlines()[0]}") from None


def row_count(stream: IO[bytes], name: str) -> int:
    """How many rows a file has; FileError where it is no parquet."""
    need_pyarrow(name)
    import pyarrow
    import pyarrow.parquet

    try:
        return int(pyarrow.parquet.ParquetFile(stream).metadata.num_rows)
    except (OSError, ValueError, pyarrow.ArrowException) as error:
        raise FileError(f"{name} cannot be read as parquet: {str(error).splitlines()[0]}") from None


def _group_lines(file: Any, group: int, first: int, last: int) -> Iterator[bytes]:
    row = 0
    for batch in file.iter_batches(batch_size=ROWS, row_groups=[group]):
        if row + batch.num_rows > first and row < last:
            start = max(0, first - row)
            for value in batch.slice(start, min(last - row, batch.num_rows) - start).to_pylist():
                yield (json.dumps(_finite(value), ensure_ascii=False, default=str) + "\n").encode(
                    "utf-8", "surrogatepass"
                )
        row += batch.num_rows


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, list):
        return [_finite(element) for element in value]
    if isinstance(value, dict):
        return {key: _finite(element) for key, element in value.items()}
    return value
