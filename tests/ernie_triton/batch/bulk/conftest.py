"""A folder of input files in every format, and runs over it that need no model."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from ernie_triton.batch.bulk import engines
from ernie_triton.batch.bulk.parts import Part
from ernie_triton.batch.bulk.run import FolderRun, Settings
from ernie_triton.batch.bulk.work import Done, Job
from ernie_triton.batch.plan import Plan

from ...echo import TASK, Echo

LINES = 4  # of a part


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """12 texts in JSON lines with a bad line and an empty one, 3 packed, 2 in CSV, 6 in parquet, one of them null."""
    texts = tmp_path / "in"
    (texts / "more").mkdir(parents=True)
    lines = [json.dumps({"id": i, "text": f"a {i}"}) for i in range(12)]
    (texts / "a.jsonl").write_text("\n".join([*lines[:5], "{broken", "", *lines[5:]]) + "\n", encoding="utf-8")
    (texts / "more" / "b.txt.gz").write_bytes(gzip.compress(b"b 0\nb 1\nb 2\n"))
    (texts / "c.csv").write_text('id,text\n0,"c\n0"\n1,c 1\n', encoding="utf-8")
    table = {"text": ["d 0", "d 1", None, "d 3", "d 4", "d 5"], "id": range(6)}
    pyarrow.parquet.write_table(pyarrow.table(table), texts / "d.parquet", row_group_size=3)
    (texts / "_SUCCESS").touch()
    return texts


@pytest.fixture
def run(tmp_path: Path, folder: Path) -> Callable[..., int]:
    """Run in/ -> out/ of the test's folder."""

    def start(source: Echo | None = None, output_format: str | None = "jsonl", lines: int = LINES, **given: Any) -> int:
        def engine(job: Job, parts: Sequence[Part]) -> Generator[Done, None, None]:
            return engines.in_this_process(job, source or Echo(), parts)

        options = {"input": str(folder), "output": str(tmp_path / "out"), "batch_size": 2, "many": True, **given}
        settings = Settings(part_lines=lines, output_format=output_format, repository="")
        return FolderRun(TASK, Plan(**options), settings, engine).run()

    return start


def contents(folder: Path) -> dict[str, bytes]:
    """What a run wrote, by file; the record of the run is left out."""
    paths = [path for path in folder.rglob("*") if path.is_file() and path.name != "_run.json"]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}
