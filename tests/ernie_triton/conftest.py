"""Runs of `predict --input` over the file of a test."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ernie_triton.batch.plan import Plan
from ernie_triton.batch.run import FileRun
from ernie_triton.tasks import Task

from .echo import RAW, TASK, Echo, files


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., int]:
    """Run `in.jsonl` -> `out.jsonl` of the test's folder."""

    def start(source: Echo | None = None, task: Task = TASK, **options: Any) -> int:
        arguments = {
            "input": str(tmp_path / "in.jsonl"),
            "output": str(tmp_path / "out.jsonl"),
            "batch_size": 4,
            **options,
        }
        return FileRun(source or Echo(), task, Plan(**arguments)).run()

    return start


@pytest.fixture
def expected(tmp_path: Path, run: Callable[..., int]) -> tuple[bytes, bytes]:
    """What an undisturbed run over RAW writes; the output is removed again."""
    (tmp_path / "in.jsonl").write_bytes(RAW)
    assert run() == 0
    written = files(tmp_path)
    for path in tmp_path.glob("out*"):
        path.unlink()
    return written
