"""A run on disk: what survives a kill, what is measured again, what may share a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ernie_perf.errors import RunError
from ernie_perf.sweep.description import RunDescription
from ernie_perf.sweep.records import Cell, EngineRecord, LoadFigures, ServedRecord, SkippedRecord, record_from_json
from ernie_perf.sweep.run import Recorder, Run

from ..sample_run import about, description, engine, served, write

CELL = Cell(task="news", variant="w0.75-int8", mode="concurrency", value=8.0, round=1)


def measured(cell: Cell, throughput: float) -> ServedRecord:
    """A measurement without an error."""
    figures = LoadFigures(throughput=throughput, p50_ms=1.0, p90_ms=2.0, p95_ms=3.0, p99_ms=4.0, avg_ms=1.5)
    return ServedRecord(cell=cell, engine="onnxruntime", figures=figures)


def test_a_second_sweep_goes_on_where_the_first_was_killed(tmp_path: Path) -> None:
    """Finished cells are skipped, a failed one is measured again, a torn line is dropped."""
    first = Recorder(tmp_path, description())
    first.add(measured(CELL, 10.0))
    failed = replace(CELL, value=32.0)
    first.add(ServedRecord(cell=failed, error="no answer"))
    with (tmp_path / "records.jsonl").open("a", encoding="utf-8") as file:
        file.write('{"task": "news", "vari')

    second = Recorder(tmp_path, description())
    assert second.is_done(CELL) and not second.is_done(failed)
    second.add(measured(failed, 20.0))
    assert second.is_done(failed)
    assert Run.load(tmp_path).records == (measured(CELL, 10.0), measured(failed, 20.0))
    assert len((tmp_path / "records.jsonl").read_text(encoding="utf-8").splitlines()) == 3


def test_another_sweep_does_not_mix_with_it(tmp_path: Path) -> None:
    """Other settings or other tasks: refused, with what differs."""
    Recorder(tmp_path, description())
    with pytest.raises(RunError, match=r"setting seconds differs \(2.0 there, 5.0 now\); give another --output"):
        Recorder(tmp_path, description(seconds=5.0))
    with pytest.raises(RunError, match="task other differs"):
        Recorder(tmp_path, description(tasks=("news", "other")))
    busier = replace(description().machine, cpu="busier")
    Recorder(tmp_path, replace(description(), machine=busier))


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
    recorder = Recorder(tmp_path, description())
    cells = [replace(CELL, mode="rate", value=value) for value in (0.5, 0.75)]
    assert len({recorder.raw_path(cell).name for cell in cells}) == 2
    assert json.loads(json.dumps(vars(cells[0])))["value"] == 0.5


@pytest.mark.parametrize(
    "document",
    [
        served("fp32", "concurrency", 8, 1, 100, 10, delayed=0, wrong_example={"inputs": ["a"], "outputs": {}}),
        served("fp32", "rate", 50, 1, 49, 10, delayed=3, padding={"real_tokens": 7, "padding_tokens": 2}),
        engine("fp32", 8, "length", 2, 123.0),
        {
            "task": "news",
            "variant": "fp32",
            "mode": "rate",
            "value": 90.0,
            "round": 1,
            "order": "",
            "skipped": "too fast",
        },
    ],
)
def test_a_record_is_written_as_it_was_read(document: dict[str, Any]) -> None:
    """The keys of records.jsonl are a format that others read."""
    record = record_from_json(json.loads(json.dumps(document)))
    written = json.loads(json.dumps(record.to_json()))
    assert {name: written[name] for name in document} == document
    assert record_from_json(written) == record


def test_what_a_failed_measurement_leaves_out() -> None:
    """No figures where perf_analyzer failed; with wrong answers the figures stay, and both count errors."""
    refused = ServedRecord(cell=CELL, engine="openvino", error="refused").to_json()
    assert refused["errors"] == 1 and refused["error"] == "refused" and "throughput" not in refused
    figures = LoadFigures(throughput=9, p50_ms=1, p90_ms=1, p95_ms=1, p99_ms=1, avg_ms=1, checked=50, wrong=7)
    assert ServedRecord(cell=CELL, figures=figures, error="7 are wrong").to_json()["errors"] == 7
    successful = ServedRecord(cell=CELL, figures=figures).to_json()
    assert successful["errors"] == 0 and not {"error", "processes", "padding", "wrong_example"} & set(successful)


def test_each_kind_of_record_is_told_apart() -> None:
    """By its mode, and by what is missing."""
    cell = {"task": "news", "variant": "fp32", "value": 8, "round": 1}
    assert isinstance(record_from_json({**cell, "mode": "engine", "order": "file", "throughput": 9.0}), EngineRecord)
    assert isinstance(record_from_json({**cell, "mode": "rate", "skipped": "too fast"}), SkippedRecord)
    failed = record_from_json({**cell, "mode": "rate", "error": "no answer"})
    assert isinstance(failed, ServedRecord) and failed.figures is None and failed.error == "no answer"
    with pytest.raises(KeyError):
        record_from_json({**cell, "mode": "engine", "order": "file"})


def test_run_json_is_written_as_it_was_read() -> None:
    """Settings and tasks decide whether a sweep may be resumed: nothing of them may be lost."""
    written = json.loads(json.dumps(description().to_json()))
    assert written["settings"] == about()["settings"]
    task = about()["tasks"]["news"]
    assert {name: written["tasks"]["news"][name] for name in task if name != "variants"} == {
        name: task[name] for name in task if name != "variants"
    }
    assert json.loads(json.dumps(RunDescription.from_json(written).to_json())) == written


def test_a_run_json_without_its_tasks_is_named(tmp_path: Path) -> None:
    """One line, with the file and what is missing."""
    document = {name: part for name, part in about().items() if name != "tasks"}
    with pytest.raises(RunError, match=r"run\.json: something is missing \('tasks'\)"):
        Run.load(write(tmp_path, [], document))
