"""The answers as parquet: the columns of a table of answers, each with a type."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from .parquet import ROWS, need_pyarrow
from .table_file import LINE, TableFile

_WIDER = {("int64", "double"): "double", ("double", "int64"): "double"}


class ParquetFile(TableFile):
    """OUT.parquet: the columns of a table of answers. Lists of numbers are lists, other lists and objects JSON.

    A column has the narrowest of int64, double, bool, string and list<float> that holds all of its values.
    """

    def convert(self, path: Path, lines: int) -> None:
        """Two passes over the answers: the columns and their types, then the rows. Memory does not grow with them."""
        need_pyarrow(str(self.path))
        import pyarrow
        import pyarrow.parquet

        names, rows = self.columns()
        types: dict[str, str] = {LINE: "int64"} | dict.fromkeys(names, "null")
        for row in rows():
            for name, value in row.items():
                types[name] = _joined(types[name], value)
        made = {
            "double": pyarrow.float64(),
            "int64": pyarrow.int64(),
            "bool": pyarrow.bool_(),
            "null": pyarrow.null(),
            "list": pyarrow.list_(pyarrow.float32()),
            "string": pyarrow.string(),
        }
        schema = pyarrow.schema([(name, made[kind]) for name, kind in types.items()])
        with pyarrow.parquet.ParquetWriter(path, schema, compression="zstd") as writer:
            answers = rows()
            while chunk := list(islice(answers, 16 * ROWS)):
                writer.write_table(_table(chunk, types, schema))


def _table(rows: Sequence[Mapping[str, object]], types: Mapping[str, str], schema: Any) -> Any:
    import pyarrow

    columns = []
    for name, kind in types.items():
        values = [row.get(name) for row in rows]
        columns.append([_text(v) for v in values] if kind == "string" else values)
    arrays = [pyarrow.array(v, field.type, safe=False) for v, field in zip(columns, schema, strict=True)]
    return pyarrow.Table.from_arrays(arrays, schema=schema)


def _joined(kind: str, value: object) -> str:
    """The type of a column that has this value too."""
    if value is None:
        return kind
    own = _kind(value)
    if kind in ("null", own):
        return own
    return _WIDER.get((kind, own), "string")


def _kind(value: object) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -(2**63) <= value < 2**63 else "string"
    if isinstance(value, float):
        return "double"
    if isinstance(value, list) and value and all(type(element) in (int, float) for element in value):
        return "list"
    return "string"


def _text(value: object) -> str | None:
    if value is None:
        return None
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text.encode("utf-8", "backslashreplace").decode("utf-8")  # a lone surrogate is no UTF-8
