"""What is made of the requests of an overload."""

from __future__ import annotations

import pytest

from ernie_perf import cli
from ernie_perf.errors import PerfError
from ernie_perf.stress.load_client import UNAVAILABLE, Outcome
from ernie_perf.stress.overload import figures_of

REFUSED = Outcome(0.5, 0.004, 0, UNAVAILABLE, "Exceeds maximum queue size")


def test_figures() -> None:
    flood = [Outcome(0.1 * i, 0.2, 0, "") for i in range(10)] + [REFUSED] * 20
    flood = [*flood[:9], Outcome(0.9, 0.2, 0, ""), *flood[10:]]
    after = [Outcome(1.3, 0.01, 0, ""), Outcome(1.4, 0.6, 0, ""), Outcome(2.2, 0.1, 0, "")]  # sent from 1.0 s on
    found = figures_of("tnews", 500, 10.0, 1.0, [*flood, *after], {"client": 0.5})
    assert (found.asked, found.requests, found.answered) == (30, 30, 10)
    assert (found.answered_p99_ms, found.refused_p99_ms, found.recovered_s) == (200, 4, 0.4)
    text = "\n".join(found.lines())
    assert "well again after 0.4 s (1 of 3 requests refused or late)" in text
    assert "10 of 30 answered (9 a second), 20 refused" in text and "(0.40 x the SLO)" in text
    assert text.endswith("CPU seconds of the flood: client 0.5")


def test_nothing_refused() -> None:
    found = figures_of("tnews", 500, 10.0, 1.0, [Outcome(0, 0.2, 0, "")], {})
    assert (found.refused_p50_ms, found.recovered_s, found.answered_rate) == (0, 0, 1)


def test_nothing_answered() -> None:
    with pytest.raises(PerfError, match="tnews: none of 1 requests was answered"):
        figures_of("tnews", 500, 10.0, 1.0, [REFUSED], {})


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
