"""Instances for a rate and a latency, from measured curves."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ernie_perf.report import plan
from ernie_perf.report.curves import curves_of
from ernie_perf.sweep.run import Run

from ..sample_run import both_variants, served, write


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """fp32 sustains 100 requests/s (p99 30 ms), int8 400 (p99 30 ms)."""
    return write(tmp_path, both_variants())


def test_the_fewest_instances_win(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """400 texts/s an instance of int8, a fifth kept free: 5,000 need 16."""
    assert plan.main([str(run), "--task", "news", "--rate", "5000", "--p99", "50ms"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert plan.main([str(run), "--task", "news", "--rate", "5000", "--p99", "50ms", "--json"]) == 0
    as_json = capsys.readouterr()
    assert as_json.err.splitlines() == lines and [v["instances"] for v in json.loads(as_json.out)["variants"]] == [
        16,
        63,
    ]
    assert lines[0].startswith("16 instances of news_int8 for 5000 texts/s with p99 within 50 ms")
    assert "  fp32: 100, 63, accuracy 52.50" in lines and "  int8: 400, 16, accuracy 52.10" in lines
    text = "\n".join(lines)
    for word in ("Toy CPU", "23.4 tokens", "Poisson", "20% of each", "the most that was sustained"):
        assert word in text


def test_between_two_measured_points_the_line_joins_them(tmp_path: Path) -> None:
    """p99 of 10 ms at 100 texts/s and 30 ms at 200: 20 ms at 150."""
    rows = [served("fp32", "rate", rate, 1, rate, p99) for rate, p99 in ((100, 10), (200, 30))]
    (curve,) = (c for c in curves_of(Run.load(write(tmp_path, rows))) if c.variant == "fp32")
    capacity = plan.capacity(curve, 20.0)
    assert capacity is not None and capacity.rate == pytest.approx(150)
    assert capacity.instances(150, 0.0) == 1 and capacity.instances(151, 0.0) == 2 and capacity.instances(150, 0.5) == 2


def test_it_stops_where_the_limit_is_first_passed(tmp_path: Path) -> None:
    """A smaller p99 at a larger load is chance, and one at the smallest loads that is too large, too."""
    points = ((50, 55), (100, 20), (200, 60), (300, 45), (400, 300))
    rows = [served("fp32", "rate", rate, 1, rate, p99) for rate, p99 in points]
    (curve,) = (c for c in curves_of(Run.load(write(tmp_path, rows))) if c.variant == "fp32")
    capacity = plan.capacity(curve, 50.0)
    assert capacity is not None and capacity.rate == pytest.approx(175)


def test_accuracy_may_rule_out_the_fastest(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """int8 loses 0.4 points."""
    assert plan.main([str(run), "--task", "news", "--rate", "5000", "--p99", "50", "--max-drop", "0.1"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("63 instances of news_fp32") and "without: int8" in out


def test_machines_and_cost_of_a_pile_of_texts(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """int8 answers 500 texts/s, of which 400 are planned with: 2.5 s for 1,000; a million take 2,500 s."""
    words = [str(run), "--task", "news", "--texts", "1e9", "--within", "24h", "--price", "0.36"]
    assert plan.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "29 machines with news_int8 for 1,000,000,000 texts within 24 h: 694 machine-hours."
    assert lines[3:5] == ["  int8: 400, 29, 694, 0.25", "  fp32: 200, 58, 1,389, 0.5"]
    assert plan.main([*words, "--json", "--max-drop", "0.1", "--headroom", "0"]) == 0
    (only,) = json.loads(capsys.readouterr().out)["variants"]
    assert (only["variant"], only["machines"], only["price_per_million_texts"]) == ("fp32", 47, pytest.approx(0.4))
    assert plan.main([*words, "--max-drop", "-1"]) == 1
    assert "no variant of news that loses at most -1 points was measured" in capsys.readouterr().err
    for wrong in (["--rate", "5"], ["--within", "soon"], ["--within", "5"]):
        with pytest.raises(SystemExit) as leaving:
            plan.main([*words, *wrong])
        assert leaving.value.code == 2


def test_a_closed_loop_is_called_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is smoother than users are."""
    run = write(tmp_path, [row for row in both_variants() if row["mode"] == "concurrency"])
    assert plan.main([str(run), "--task", "news", "--rate", "100", "--p99", "0.05s"]) == 0
    assert "arrivals as smooth as a closed loop's" in capsys.readouterr().out


def test_limits_and_tasks_that_cannot_be_planned_are_refused(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A limit that nothing keeps, a task that was not measured: one line, exit 1. No number: exit 2."""
    assert plan.main([str(run), "--task", "news", "--rate", "10", "--p99", "1ms"]) == 1
    assert "the lowest measured p99 is 6.0 ms" in capsys.readouterr().err
    assert plan.main([str(run), "--task", "nwes", "--rate", "10", "--p99", "50ms"]) == 1
    assert "has no task 'nwes'; it has news" in capsys.readouterr().err
    for wrong in (["--p99", "soon"], ["--p99", "50ms", "--headroom", "1"], ["--p99", "50ms", "--rate", "0"]):
        with pytest.raises(SystemExit) as leaving:
            plan.main([str(run), "--task", "news", "--rate", "10", *wrong])
        assert leaving.value.code == 2
