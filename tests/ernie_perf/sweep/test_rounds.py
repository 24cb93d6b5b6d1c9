"""The rounds of a sweep: their order, what is left out, and a run that goes on."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ernie_perf.sweep.description import RunDescription
from ernie_perf.sweep.records import Cell, EngineRecord, LoadFigures, ServedRecord, SkippedRecord
from ernie_perf.sweep.rounds import PreparedVariant, Sweep, progress_line
from ernie_perf.sweep.run import Recorder, Run
from ernie_perf.sweep.settings import Load, SweepSettings
from ernie_perf.sweep.tasks import MeasuredTask
from ernie_perf.sweep.texts import tokenize_texts
from ernie_runtime.steps.pipeline import Pipeline

from ..conftest import CountingEngine, toy_manifest, toy_variant
from ..sample_run import description

ITEMS = [("今天",), ("今天天气很好",), ("明天",), ("明天天气",)]


def settings(**changes: Any) -> SweepSettings:
    """Two rounds of the bare engine in batches of 1 and 2."""
    base = SweepSettings.from_json(description().to_json()["settings"])
    return replace(base, **{"loads": (), "rounds": 2, "engine": True, "batches": (1, 2), "engine_texts": 3, **changes})


@pytest.fixture
def variants(pipeline: Pipeline) -> list[PreparedVariant]:
    """fp32 and int8, each with an engine of its own."""
    toy_variants = tuple(toy_variant(name) for name in ("fp32", "int8"))
    manifest = toy_manifest(variants=toy_variants)
    task = MeasuredTask(manifest=manifest, variants=toy_variants, texts=tokenize_texts(pipeline, ITEMS, "dev.json", 10))
    engines: list[Any] = [CountingEngine(), CountingEngine()]
    return [
        PreparedVariant(task=task, variant=variant.name, pipeline=Pipeline(manifest, pipeline.tokenizer, engine))
        for variant, engine in zip(toy_variants, engines, strict=True)
    ]


def sweep_of(
    folder: Path, variants: list[PreparedVariant], chosen: SweepSettings, started_at: float | None = None
) -> Sweep:
    about: RunDescription = replace(description(), settings=chosen, tasks={"toy": variants[0].task.describe()})
    return Sweep(
        settings=chosen,
        recorder=Recorder(folder, about),
        analyzer=None,
        target=None,
        variants=variants,
        started_at=time.monotonic() if started_at is None else started_at,
    )


def test_variants_take_turns(tmp_path: Path, variants: list[PreparedVariant]) -> None:
    """Every load of a round is measured of all variants before the next load, and every round before the next round."""
    loads = (Load("concurrency", 1), Load("rate", 50.0))
    cells = [cell for cell, _ in sweep_of(tmp_path, variants, settings(loads=loads, batches=(4,))).cells()]
    first = [(c.mode, c.order, c.variant) for c in cells if c.round == 1]
    assert first == [
        (mode, order, variant)
        for mode, order in (("concurrency", ""), ("rate", ""), ("engine", "file"), ("engine", "length"))
        for variant in ("fp32", "int8")
    ]
    assert [cell.round for cell in cells] == [1] * 8 + [2] * 8
    assert len(set(cells)) == 16 and len({cell.name() for cell in cells}) == 16


def test_the_bare_engine_is_measured_and_a_second_sweep_measures_nothing(
    tmp_path: Path, variants: list[PreparedVariant], capsys: pytest.CaptureFixture[str]
) -> None:
    """No server is needed; of four texts the first three are taken."""
    work = sweep_of(tmp_path, variants, settings())
    work.run()
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 16 and lines[0].startswith("  1/16 toy_fp32, round 1: engine, batch 1, by file: ")
    records = Run.load(tmp_path).records
    assert len(records) == 16 and not work.failures and "16 measurements in" in work.summary()
    for record in records:
        assert isinstance(record, EngineRecord) and record.throughput > 0 and record.engine == "onnxruntime"
        assert record.padding is not None and record.padding.real_tokens == 4 + 8 + 4
        expected = {(1.0, "file"): 0, (1.0, "length"): 0, (2.0, "file"): 4, (2.0, "length"): 0}
        assert record.padding.padding_tokens == expected[record.cell.value, record.cell.order]
    sweep_of(tmp_path, variants, settings()).run()
    assert capsys.readouterr().out == ""


def test_rates_beyond_one_that_is_not_sustained_are_skipped(tmp_path: Path, variants: list[PreparedVariant]) -> None:
    """They would only fill the queue. Another variant's rates, and smaller ones, are no reason."""
    chosen = settings(loads=(Load("rate", 100.0), Load("rate", 200.0)), engine=False, rounds=1)
    work = sweep_of(tmp_path, variants, chosen)
    slow = LoadFigures(throughput=60, p50_ms=1, p90_ms=1, p95_ms=1, p99_ms=1, avg_ms=1, seconds=10)
    sustained = replace(slow, throughput=99)
    cells = {(cell.variant, cell.value): cell for cell, _ in work.cells()}
    work.recorder.add(ServedRecord(cell=cells["fp32", 100.0], figures=slow))
    work.recorder.add(ServedRecord(cell=cells["int8", 100.0], figures=sustained))
    work.recorder.add(ServedRecord(cell=cells["int8", 200.0], figures=replace(slow, throughput=199)))
    work.run()
    records = {(r.cell.variant, r.cell.value): r for r in Run.load(tmp_path).records}
    assert records["fp32", 200.0] == SkippedRecord(cell=cells["fp32", 200.0], reason="100 requests/s are not sustained")
    assert isinstance(records["int8", 200.0], ServedRecord)


def test_a_rate_that_failed_is_not_tried_larger(tmp_path: Path, variants: list[PreparedVariant]) -> None:
    """Nor in the next round at the same rate: it would fill the queue again."""
    work = sweep_of(tmp_path, variants[:1], settings(loads=(Load("rate", 100.0),), engine=False))
    first, second = (cell for cell, _ in work.cells())
    work.recorder.records[first] = ServedRecord(cell=first, error="refused")
    assert work._unsustained_rate(second) == 100.0
    assert work._unsustained_rate(first) is None  # it is tried again itself
    assert work._unsustained_rate(replace(second, value=50.0)) is None


def test_quick_stops_in_time(tmp_path: Path, variants: list[PreparedVariant]) -> None:
    """After its budget nothing more is started, and the summary says how many are left."""
    chosen = settings(quick=True, seconds=1.5)
    work = sweep_of(tmp_path, variants, chosen, started_at=time.monotonic() - 290)
    work.run()
    assert work.left_out == 16 and not Run.load(tmp_path).records
    assert "--quick: 16 were left out" in work.summary()


def test_progress_in_a_line() -> None:
    """What the person who waits sees of each kind of record."""
    cell = Cell(task="toy", variant="int8", mode="rate", value=50.0, round=2)
    figures = LoadFigures(throughput=49.6, p50_ms=3.21, p90_ms=4, p95_ms=5, p99_ms=9.87, avg_ms=3)
    prefix = "toy_int8, round 2: 50 requests/s: "
    assert progress_line(ServedRecord(cell=cell, figures=figures)) == f"{prefix}50 texts/s, p50 3.2, p99 9.9 ms"
    assert progress_line(ServedRecord(cell=cell, error="refused")) == f"{prefix}FAILED: refused"
    assert progress_line(SkippedRecord(cell=cell, reason="too fast")) == f"{prefix}skipped, too fast"
