"""Comparing two runs: a loss is distinguished from noise."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from ernie_perf.report import compare

from ..sample_run import about, both_variants, served, write


def noisy(scale: float, deviation: float, seed: int, rounds: int = 3) -> list[dict[str, Any]]:
    """Rounds that differ by a normal noise."""
    generator = random.Random(seed)
    rows = []
    for number in range(1, rounds + 1):
        for value in (1, 8, 32):
            wobble = 1 + generator.gauss(0, deviation)
            rows.append(served("fp32", "concurrency", value, number, 200 * scale * wobble, 50 / scale / wobble))
    return rows


def outcome(tmp_path: Path, first: Sequence[dict[str, Any]], second: Sequence[dict[str, Any]]) -> int:
    """The exit code of comparing two runs."""
    a, b = write(tmp_path / "a", first), write(tmp_path / "b", second)
    return compare.main([str(a), str(b)])


def test_a_real_loss_fails_and_says_where_how_much_and_the_noise(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """One in five slower, noise of 1%."""
    assert outcome(tmp_path, noisy(1.0, 0.01, 1), noisy(0.8, 0.01, 2)) == 1
    lines = capsys.readouterr().out.splitlines()
    loss = next(line for line in lines if line.startswith("LOSS") and "concurrency 8" in line and "texts/s" in line)
    assert "news_fp32" in loss and "noise" in loss
    assert -25 < float(loss.split("(")[1].split("%")[0]) < -15
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b"), "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["losses"] == len([line for line in lines if line.startswith("LOSS")])
    changes = {(c["load"], c["figure"]): c for c in document["changes"]}
    assert -0.25 < changes["concurrency 8", "throughput"]["change"] < -0.15


def test_equal_runs_pass_and_so_does_a_loss_that_noise_hides(tmp_path: Path) -> None:
    """The same server measured twice; and 4% less where rounds differ by 10%."""
    assert outcome(tmp_path, noisy(1.0, 0.02, 3), noisy(1.0, 0.02, 4)) == 0
    assert outcome(tmp_path, noisy(1.0, 0.1, 5), noisy(0.96, 0.1, 6)) == 0


def test_equal_runs_seldom_fail(tmp_path: Path) -> None:
    """100 comparisons of equal runs: chance is held to one in a hundred, at most three are let through here."""
    assert sum(outcome(tmp_path, noisy(1.0, 0.05, 2 * i), noisy(1.0, 0.05, 2 * i + 1)) for i in range(100)) <= 3


def test_a_gain_and_a_loss_too_small_to_matter(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Twice as fast; and 2% less without any noise, which --least 1 does not forgive."""
    assert outcome(tmp_path, both_variants(), both_variants(2.0)) == 0
    assert "gain" in capsys.readouterr().out
    flat = (1.0, 1.0, 1.0)
    assert outcome(tmp_path, both_variants(1.0, flat), both_variants(0.98, flat)) == 0
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b"), "--least", "1"]) == 1


def test_a_measurement_that_newly_fails_is_a_loss(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong answer, and a rate that is no longer sustained."""
    error = {"task": "news", "variant": "int8", "mode": "concurrency", "value": 8, "round": 3, "error": "2 are wrong"}
    assert outcome(tmp_path, both_variants(), [*both_variants(), error]) == 1
    assert "news_int8, concurrency 8: fails now: 2 are wrong" in capsys.readouterr().out
    slow = [dict(r, throughput=300.0) if (r["mode"], r["value"]) == ("rate", 400) else r for r in both_variants()]
    assert outcome(tmp_path, both_variants(), slow) == 1
    assert "news_int8, 400/s, Poisson: no longer sustained, 300 texts/s" in capsys.readouterr().out


def test_runs_that_cannot_be_compared(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2 and one line: measured once, other texts, nothing in common. Another machine is remarked."""
    once = [row for row in both_variants() if row["round"] == 1]
    assert outcome(tmp_path, once, once) == 2
    assert "noise is unknown; sweep with --rounds 3" in capsys.readouterr().err
    other_texts = about()
    other_texts["tasks"]["news"]["texts"] = {**other_texts["tasks"]["news"]["texts"], "sha256": "beef"}
    write(tmp_path / "b", both_variants(), other_texts)
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "other texts" in capsys.readouterr().err
    write(tmp_path / "b", both_variants(), about(tasks=("reviews",)))
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "no measurement in common" in capsys.readouterr().err
    write(tmp_path / "b", both_variants(), about(request_texts=8))
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 2
    assert "sent 1 and 8 texts a request" in capsys.readouterr().err
    other_machine = about()
    other_machine["machine"] = {**other_machine["machine"], "cpu": "Other CPU"}
    write(tmp_path / "a", both_variants())
    write(tmp_path / "b", both_variants(), other_machine)
    assert compare.main([str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    assert "note  other machines: cpu Toy CPU and Other CPU" in capsys.readouterr().out


def test_noise_too_large_to_show_any_loss_is_reported(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One round against two: the noise is known from one repeated measurement, and nothing is ever a loss."""
    assert outcome(tmp_path, noisy(1.0, 0.3, 1, rounds=1), noisy(0.1, 0.3, 2, rounds=2)) == 2
    stderr = capsys.readouterr().err
    assert "repeated measurement: no loss could be seen; sweep with --rounds 3 or more" in stderr
