"""log.jsonl: one JSON object per row, each with its `step`."""

from __future__ import annotations

import json
from pathlib import Path

from ernie_runtime.json_types import Json, JsonObject

from ..filesystem import write_file

LOG = "log.jsonl"


def append_row(path: Path, row: Json) -> None:
    """Add a row at the end."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row) + "\n")


def read_rows(path: Path) -> list[JsonObject]:
    """All rows, none if there is no file; a last row that a kill cut off is left out."""
    rows: list[JsonObject] = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else ():
        try:
            rows.append(json.loads(line))
        except ValueError:
            break
    return rows


def cut_back(path: Path, step: int) -> None:
    """Remove the rows after the step that a run resumes from: they will be written again."""
    rows = [row for row in read_rows(path) if row["step"] <= step]
    if path.exists():
        write_file(path, "".join(json.dumps(row) + "\n" for row in rows))
