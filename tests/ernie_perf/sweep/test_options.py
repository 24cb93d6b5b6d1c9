"""The command lines: what is asked for, and what is refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ernie_perf import cli
from ernie_perf.errors import PerfError
from ernie_perf.sweep import cli as sweep
from ernie_perf.sweep.options import parse
from ernie_perf.sweep.rounds import Sweep
from ernie_perf.sweep.run import Recorder
from ernie_perf.sweep.settings import Load, SweepSettings
from ernie_perf.sweep.tasks import task_names

from ..sample_run import description


def test_loads_and_defaults() -> None:
    """Loads in their order, each once; rates ascending, so that too large ones can be skipped."""
    settings = parse(["--concurrency", "1,8,8", "--rates", "200,50"]).settings
    assert settings.loads == (Load("concurrency", 1), Load("concurrency", 8), Load("rate", 50), Load("rate", 200))
    assert (settings.rounds, settings.limit, settings.engine) == (3, 1000, False)
    assert "--async" in Load("rate", 50).arguments() and "--async" not in Load("concurrency", 8).arguments()


def test_quick_fills_in_smaller_numbers_and_keeps_what_is_given(tmp_path: Path) -> None:
    """One round; a measurement is begun only while it can end within five minutes."""
    settings = parse(["--quick", "--limit", "77"]).settings
    assert (settings.rounds, settings.limit) == (1, 77)
    recorder = Recorder(tmp_path, description())
    work = Sweep(settings=settings, recorder=recorder, analyzer=None, target=None, variants=(), started_at=0.0)
    assert work.quick_budget() + 30 + 5 * settings.seconds < 300


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--concurrency", ""], "nothing to measure"),
        (["--url", "host:8001"], "--url and --http-url go together"),
        (["--metrics-url", "host:8002"], "--metrics-url goes with --url"),
        (["--texts", "dev.json"], "expected TASK=FILE"),
        (["--concurrency", "0"], "0 is not above 0"),
        (["--rates", "fast"], "invalid"),
        (["--rounds", "-1"], "-1 is not above 0"),
        (["--rates", "50", "--request-texts", "4"], "--request-texts goes with --concurrency"),
    ],
)
def test_wrong_usage(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit 2, and which option."""
    with pytest.raises(SystemExit) as leaving:
        sweep.main(words)
    assert leaving.value.code == 2 and message in capsys.readouterr().err


def test_a_repository_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line; nothing is started or written."""
    assert sweep.main(["--repository", str(tmp_path / "none"), "--output", str(tmp_path / "run")]) == 1
    assert "none: no such directory; build tasks first" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
    with pytest.raises(PerfError):
        task_names(tmp_path / "none")
    assert task_names(tmp_path) == []


def test_the_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    """Help lists them; another word is refused."""
    assert cli.main(["--help"]) == 0
    out = capsys.readouterr().out
    assert all(f"  {name} " in out for name in ("sweep", "report", "compare", "plan"))
    assert cli.main(["sweeep"]) == 2
    assert capsys.readouterr().err == "ernie-triton perf: no command 'sweeep'; did you mean sweep?\n"
    assert cli.main(["zzz"]) == 2
    assert "there are sweep, report, compare, plan" in capsys.readouterr().err
    for name in cli.VERBS:
        with pytest.raises(SystemExit) as leaving:
            cli.main([name, "--help"])
        assert leaving.value.code == 0
    assert "perf_analyzer" in capsys.readouterr().out


def test_settings_survive_run_json() -> None:
    """A run is resumed by the settings in its run.json; loads keep their order, the engine's batches are only there
    where it is measured."""
    words = ["--concurrency", "8,1", "--rates", "200,50.5", "--engine", "--batches", "4", "--config-name", ""]
    for settings in (parse(words).settings, parse(["--concurrency", "2", "--request-texts", "4"]).settings):
        document = json.loads(json.dumps(settings.to_json()))
        assert SweepSettings.from_json(document).to_json() == settings.to_json()
        assert SweepSettings.from_json(document).loads == settings.loads
    assert "request_texts" not in parse(["--quick"]).settings.to_json()


def test_a_running_server_is_taken_as_it_is_given() -> None:
    """--url names the server; without it one is started."""
    request = parse(["--url", "host:8001", "--http-url", "host:8000", "--texts", "tnews=dev.json", "--output", "run"])
    assert request.server is not None and request.server.metrics == ""
    assert (request.server.grpc, request.server.http) == ("host:8001", "host:8000")
    assert request.selection.texts == {"tnews": Path("dev.json")} and request.output == Path("run")
    assert parse([]).server is None
