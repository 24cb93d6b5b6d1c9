"""The report of a run made by hand: the figures that people come for, and a page that needs nothing else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ernie_perf.report import cli as report
from ernie_perf.report import tables
from ernie_perf.report.curves import Curve, curves_of
from ernie_perf.report.document import report_page
from ernie_perf.sweep.run import Run

from ..sample_run import about, both_variants, engine, served, write


def by_variant(folder: Path) -> dict[str, Curve]:
    """The curves of a run."""
    return {curve.variant: curve for curve in curves_of(Run.load(folder))}


def test_medians_best_and_shares_of_the_engine(tmp_path: Path) -> None:
    """Medians over rounds; ratios are taken within a round."""
    curves = by_variant(write(tmp_path, both_variants()))
    best = curves["int8"].best()
    assert best is not None and (best.mode, best.value, best.throughput) == ("concurrency", 32, 500)
    limit = curves["fp32"].engine_best("length")
    assert limit is not None and (limit.throughput, limit.batch) == (400, 16)
    slow = max(curves["fp32"].of_mode("concurrency"), key=lambda p: p.value)
    assert curves["fp32"].share(slow, "file") == pytest.approx(250 / 280)
    assert curves["fp32"].share(slow, "length") == pytest.approx(250 / 400)


def test_the_largest_rate_comes_from_the_open_loop_and_must_be_kept_up(tmp_path: Path) -> None:
    """fp32 answers 240 of 400 requests/s: however short its p99, that is no rate it serves."""
    curves = by_variant(write(tmp_path, both_variants()))
    largest = {name: curve.largest_rate(100) for name, curve in curves.items()}
    assert largest["fp32"] is not None and largest["fp32"].value == 100
    assert largest["int8"] is not None and largest["int8"].value == 400
    assert curves["fp32"].largest_rate(1) is None


def test_without_an_open_loop_the_closed_one_answers_and_is_named(tmp_path: Path) -> None:
    """It flatters: the page says so."""
    rows = [row for row in both_variants() if row["mode"] != "rate"]
    folder = write(tmp_path / "run", rows)
    point = by_variant(folder)["fp32"].largest_rate(50)
    assert point is not None and point.label == "concurrency 8"
    assert "Closed loop only" in report_page(Run.load(folder), [50]).markdown()


def test_a_failed_measurement_is_shown_and_never_counted(tmp_path: Path) -> None:
    """The fastest load gave a wrong answer in its second round."""
    rows = [*both_variants(), served("int8", "concurrency", 64, 1, 9999, 1.0)]
    rows.append(
        {"task": "news", "variant": "int8", "mode": "concurrency", "value": 64, "round": 2, "error": "1 is wrong"}
    )
    folder = write(tmp_path, rows)
    best = by_variant(folder)["int8"].best()
    assert best is not None and best.value == 32
    text = report_page(Run.load(folder), [50]).markdown()
    assert "## Failed" in text and "| news_int8, concurrency 64 | 1 is wrong |" in text


def test_cpu_of_a_text_by_process(tmp_path: Path) -> None:
    """1,000 texts: 8 s of the encoder are 8 ms; models of other variants and tasks are one column."""
    folder = write(tmp_path, [served("fp32", "concurrency", 1, 1, 100, 10)])
    table = tables.cpu(curves_of(Run.load(folder)))
    assert table is not None
    row = dict(zip(*table.rows, strict=True))
    assert (row["encoder"], row["tokenizer"], row["others, idle"], row["client"]) == ("8.00", "0.50", "0.20", "0.20")
    assert (row["server in all"], row["tokenizer's share"]) == ("10.20", "5%")
    assert len(table.rows[0]) == len(set(table.rows[0]))


def test_padding_waste_is_shown_where_the_server_counts_it(tmp_path: Path) -> None:
    """8 padding tokens on 100 real ones."""
    padding = {"real_tokens": 100, "padding_tokens": 8}
    text = report_page(
        Run.load(write(tmp_path, [served("fp32", "concurrency", 8, 1, 100, 10, padding=padding)])), [50]
    ).markdown()
    assert re.search(r"fp32, concurrency 8 \|.*\| 8% \|", text)
    assert "news-padding.svg" in text


def test_the_page_needs_nothing_else(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Pictures inside, no address to fetch, text escaped, every picture of the Markdown written."""
    run = write(tmp_path / "run", both_variants())
    assert report.main([str(run), "--output", str(tmp_path / "out")]) == 0
    assert capsys.readouterr().out.splitlines() == [str(tmp_path / "out" / f"report.{end}") for end in ("html", "md")]
    assert report.main([str(run), "--output", str(tmp_path / "out"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["files"][0] == str(tmp_path / "out" / "report.html")
    int8 = document["tasks"]["news"]["variants"]["int8"]
    assert int8["loads"][0]["throughput"] > 0 and int8["largest_rate"]["50"] == 400
    page = (tmp_path / "out" / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 3 and "News &lt;titles&gt;" in page
    assert not re.search(r"""(src|href)\s*=\s*["'](?!#)""", page)
    text = (tmp_path / "out" / "report.md").read_text(encoding="utf-8")
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert len(links) == 3 and all(
        (tmp_path / "out" / link).read_text(encoding="utf-8").startswith("<svg") for link in links
    )
    ids = re.findall(r'<clipPath id="([^"]+)"', page)
    assert len(ids) == len(set(ids))


def test_faults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line and exit 1."""
    assert report.main([str(tmp_path)]) == 1
    assert "not a run of" in capsys.readouterr().err
    assert report.main([str(write(tmp_path, [], about()))]) == 1
    assert "nothing is measured yet" in capsys.readouterr().err


def test_a_run_of_the_bare_engine_alone(tmp_path: Path) -> None:
    """No server was measured: its table, and no picture of nothing."""
    text = report_page(Run.load(write(tmp_path, [engine("fp32", 8, "file", 1, 123.0)])), [50]).markdown()
    assert "123 at 8" in text and ".svg" not in text
