"""A run on disk: what survives a kill, what is measured again, what may share a folder."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ernie_perf.errors import RunError
from ernie_perf.sweep.records import Cell, Recorder, Run

from ..toy_run import about, served, write

CELL = Cell("news", "w0.75-int8", "concurrency", 8.0, 1)


def test_a_second_sweep_goes_on_where_the_first_was_killed(tmp_path: Path) -> None:
    """Finished cells are skipped, a failed one is measured again, a torn line is dropped."""
    first = Recorder(tmp_path, about())
    first.add(CELL, {"throughput": 10.0})
    failed = Cell("news", "w0.75-int8", "concurrency", 32.0, 1)
    first.add(failed, {"error": "no answer"})
    with (tmp_path / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"task": "news", "vari')

    second = Recorder(tmp_path, about())
    assert second.done(CELL) and not second.done(failed)
    second.add(failed, {"throughput": 20.0})
    assert second.done(failed)
    records = Run.load(tmp_path).records
    assert [(r["value"], r.get("throughput"), r.get("error")) for r in records] == [
        (8.0, 10.0, None),
        (32.0, 20.0, None),
    ]
    assert len((tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_another_sweep_does_not_mix_with_it(tmp_path: Path) -> None:
    """Other settings or other tasks: refused, with what differs."""
    Recorder(tmp_path, about())
    with pytest.raises(RunError, match=r"setting seconds differs \(2.0 there, 5.0 now\); give another --output"):
        Recorder(tmp_path, about(seconds=5.0))
    with pytest.raises(RunError, match="task other differs"):
        Recorder(tmp_path, about(tasks=("news", "other")))
    Recorder(tmp_path, {**about(), "machine": {"cpu": "busier"}})


def test_a_broken_line_in_the_middle_is_named(tmp_path: Path) -> None:
    """Only the last line can be torn by a kill."""
    write(tmp_path, [served("fp32", "concurrency", 1, 1, 100, 10)])
    text = (tmp_path / "records.jsonl").read_text(encoding="utf-8")
    (tmp_path / "records.jsonl").write_text("{oops\n" + text, encoding="utf-8")
    with pytest.raises(RunError, match=r"records.jsonl:1: not a record"):
        Run.load(tmp_path)


@pytest.mark.parametrize(("text", "message"), [(None, "no run.json"), ("{", "cannot be read"), ("{}", "not schema 1")])
def test_what_is_no_run(tmp_path: Path, text: str | None, message: str) -> None:
    """One line, with the folder."""
    if text is not None:
        (tmp_path / "run.json").write_text(text, encoding="utf-8")
    with pytest.raises(RunError, match=message):
        Run.load(tmp_path)


def test_raw_files_of_variants_with_dots_do_not_meet(tmp_path: Path) -> None:
    """A variant's name may hold a dot, the load a fraction."""
    recorder = Recorder(tmp_path, about())
    cells = [Cell("news", "w0.75-int8", "rate", value, 1) for value in (0.5, 0.75)]
    assert len({recorder.raw(cell).name for cell in cells}) == 2
    assert json.loads(json.dumps(vars(cells[0])))["value"] == 0.5
