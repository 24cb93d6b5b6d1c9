"""The tables of a report: figures in the right cell, and a dash where there is none."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

from ernie_perf.report import tables
from ernie_perf.report.curves import Curve, curves_of
from ernie_perf.report.page import Table
from ernie_perf.sweep.run import Run

from ..sample_run import both_variants, description, engine, served, write


def curves(folder: Path, records: list[dict[str, Any]]) -> list[Curve]:
    return curves_of(Run.load(write(folder, records)))


def by_column(table: Table | None) -> list[dict[str, str]]:
    """A mapping per row."""
    assert table is not None
    assert all(len(row) == len(table.rows[0]) for row in table.rows)
    return [dict(zip(table.rows[0], row, strict=True)) for row in table.rows[1:]]


def test_variants_side_by_side(tmp_path: Path) -> None:
    """Accuracy and size from run.json, speed alone and at the best load, the ratio to the first variant."""
    fp32, int8 = by_column(tables.side_by_side(curves(tmp_path, both_variants()), "accuracy"))
    assert (fp32["variant"], fp32["accuracy"], fp32["points lost"], fp32["file MB"]) == ("fp32", "52.50", "-", "30.0")
    assert (int8["engine"], int8["precision"], int8["points lost"]) == ("openvino", "int8", "0.40")
    assert (fp32["p50 alone, ms"], fp32["p99 alone, ms"]) == ("6.0", "12.0")
    assert (fp32["best texts/s"], fp32["at"], fp32["x fp32"]) == ("250", "concurrency 32", "1.00")
    assert (int8["best texts/s"], int8["x fp32"], int8["encoder MB"]) == ("500", "2.00", "150")


def test_the_precision_that_ran(tmp_path: Path) -> None:
    """What the server says it computed in, kept in run.json, stands in place of the variant's own."""
    folder = write(tmp_path, both_variants())
    described = replace(description(), computed_in={"news_fp32": "TensorRT FP32"})
    (folder / "run.json").write_text(json.dumps(described.to_json()), encoding="utf-8")
    fp32, int8 = by_column(tables.side_by_side(curves_of(Run.load(folder)), "accuracy"))
    assert (fp32["precision"], int8["precision"]) == ("TensorRT FP32", "int8")


def test_largest_rates(tmp_path: Path) -> None:
    """The open loop's, for every limit; a limit that nothing keeps is a dash."""
    fp32, int8 = by_column(tables.largest_rates(curves(tmp_path, both_variants()), [1, 20, 100]))
    assert fp32["load"] == "open loop"
    assert (fp32["p99 under 1 ms"], fp32["p99 under 20 ms"]) == ("-", "50 texts/s (50/s, Poisson)")
    assert int8["p99 under 100 ms"] == "400 texts/s (400/s, Poisson)"


def test_every_load(tmp_path: Path) -> None:
    """Loads that the server does not sustain, or that failed, say so; shares of the bare engine of the same round."""
    error = {"task": "news", "variant": "int8", "mode": "concurrency", "value": 64, "round": 1, "error": "refused"}
    partly = {**error, "variant": "fp32", "value": 8, "round": 3}
    rows = by_column(tables.loads(curves(tmp_path, [*both_variants(), error, partly])))
    row = {row["variant, load"]: row for row in rows}
    assert row["fp32, 400/s, Poisson"]["texts/s"] == "240 (not sustained)"
    assert row["fp32, concurrency 8"]["texts/s"].endswith(" (failed)")
    assert row["int8, concurrency 64"]["texts/s"] == "failed" and row["int8, concurrency 64"]["p90"] == "-"
    assert row["fp32, concurrency 32"]["texts per execution"] == "4.0"
    assert row["fp32, concurrency 32"]["of the engine sorted"] == "62%"
    assert row["fp32, concurrency 32"]["of the engine in order"] == "89%"
    assert row["fp32, concurrency 1"]["padding"] == "-"
    assert (row["int8, concurrency 32"]["p50"], row["int8, concurrency 32"]["p99 ms"]) == ("37.5", "75.0")


def test_loads_without_the_bare_engine_have_no_columns_for_it(tmp_path: Path) -> None:
    """The engine is measured with --engine only."""
    table = tables.loads(curves(tmp_path, [served("fp32", "concurrency", 1, 1, 100, 10)]))
    assert table is not None and not any("engine" in column for column in table.rows[0])


def test_the_bare_engine(tmp_path: Path) -> None:
    """Medians over rounds by batch size; a size that was not measured in an order is a dash."""
    records = [engine("fp32", 8, "file", n, rate) for n, rate in ((1, 100.0), (2, 300.0), (3, 120.0))]
    records += [engine("fp32", 16, "length", 1, 500.0)]
    in_order, by_length = by_column(tables.engine(curves(tmp_path, records)))
    assert (in_order["variant, texts"], in_order["batch 8"], in_order["batch 16"]) == ("fp32, in order", "120", "-")
    assert (by_length["variant, texts"], by_length["best"]) == ("fp32, sorted", "500 at 16")
    assert in_order["best"] == "120 at 8"


def test_a_server_elsewhere_shows_no_processes(tmp_path: Path) -> None:
    """With --url its processes cannot be seen."""
    record = served("fp32", "concurrency", 1, 1, 100, 10)
    del record["processes"]
    loaded = curves(tmp_path, [record])
    assert tables.cpu(loaded) is None
    (row,) = by_column(tables.side_by_side(loaded, "accuracy"))
    assert row["encoder MB"] == "-" and row["best texts/s"] == "100"


def test_a_table_without_data_is_left_out(tmp_path: Path) -> None:
    """None, so that the page leaves the section out."""
    none = curves(tmp_path, [])
    assert tables.side_by_side(none, "accuracy") is tables.largest_rates(none, [50]) is tables.loads(none) is None
    assert tables.engine(none) is tables.cpu(none) is tables.failures(none) is None
