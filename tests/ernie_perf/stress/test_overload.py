"""What is made of the requests of an overload."""

from __future__ import annotations

import pytest

from ernie_perf import cli
from ernie_perf.errors import PerfError
from ernie_perf.stress.load_client import UNAVAILABLE, RequestOutcome
from ernie_perf.stress.overload import figures_of

REFUSED = RequestOutcome(sent=0.5, seconds=0.004, item=0, status=UNAVAILABLE, message="Exceeds maximum queue size")


def answered(sent: float, seconds: float) -> RequestOutcome:
    return RequestOutcome(sent=sent, seconds=seconds, item=0)


def test_figures() -> None:
    overloaded = [answered(0.1 * i, 0.2) for i in range(9)] + [answered(0.9, 0.2)] + [REFUSED] * 20
    after = [answered(1.3, 0.01), answered(1.4, 0.6), answered(2.2, 0.1)]  # sent from 1.0 s on
    outcomes = [*overloaded, *after]
    figures = figures_of("tnews", slo_ms=500, sustained=10.0, seconds=1.0, outcomes=outcomes, cpu_s={"client": 0.5})
    assert (figures.asked, figures.requests, figures.answered) == (30, 30, 10)
    assert (figures.answered_p99_ms, figures.refused_p99_ms, figures.recovered_s) == (200, 4, 0.4)
    text = "\n".join(figures.lines())
    assert "recovered after 0.4 s (1 of 3 requests refused or late)" in text
    assert "10 of 30 answered (9 a second), 20 refused" in text and "(0.40 x the SLO)" in text
    assert text.endswith("CPU seconds of the overload: client 0.5")


def test_nothing_refused() -> None:
    figures = figures_of("tnews", slo_ms=500, sustained=10.0, seconds=1.0, outcomes=[answered(0, 0.2)], cpu_s={})
    assert (figures.refused_p50_ms, figures.recovered_s, figures.answered_rate) == (0, 0, 1)


def test_nothing_answered() -> None:
    with pytest.raises(PerfError, match="tnews: none of 1 requests was answered"):
        figures_of("tnews", slo_ms=500, sustained=10.0, seconds=1.0, outcomes=[REFUSED], cpu_s={})


@pytest.mark.parametrize("wrong", [["--factor", "0"], ["--seconds", "-1"], ["--slo", "soon"], ["--limit", "0"]])
def test_usage(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["overload", "--task", "tnews", "--slo", "1s", *wrong])
    assert ended.value.code == 2 and wrong[0] in capsys.readouterr().err


def test_no_repository(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["overload", "--task", "tnews", "--slo", "1s", "--repository", "nowhere"]) == 1
    assert capsys.readouterr().err == (
        "ernie-triton perf overload: nowhere: no such directory; build tasks first, or give --repository\n"
    )
