"""What is made of perf_analyzer's files and messages; a script stands in for it, the real one runs in tests/e2e."""

from __future__ import annotations

import gzip
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from ernie_perf.errors import TargetError
from ernie_perf.sweep import analyzer as module
from ernie_perf.sweep.analyzer import Analyzer
from ernie_perf.sweep.answers import AnswerChecker
from ernie_perf.sweep.expected import ExpectedAnswers
from ernie_perf.sweep.records import LoadFigures
from ernie_perf.sweep.settings import Load

HEADER = "Concurrency,Inferences/Second,Delayed Request Count,"
HEADER += "Avg latency,p50 latency,p90 latency,p95 latency,p99 latency"
ROW = "2,123.4,7,4000,3500,5000,6000,9000"
ITEM = ("今天",)
SCRIPT = """#!{python}
import json, sys, time
from pathlib import Path
words = dict(zip(sys.argv[1:], sys.argv[2:] + [""]))
Path({folder!r}, "words").write_text(json.dumps(sys.argv[1:]))
{body}
"""
WRITE = """
Path(words["-f"]).write_text({table!r})
Path(words["--profile-export-file"]).write_text({export!r})
"""


def stand_in(folder: Path, body: str) -> Analyzer:
    """perf_analyzer that does what the body says; `words` are its options."""
    path = folder / "perf_analyzer"
    path.write_text(SCRIPT.format(python=sys.executable, folder=str(folder), body=body), encoding="utf-8")
    path.chmod(0o755)
    return Analyzer(path, {})


def writing(answers: list[str], row: str = ROW) -> str:
    """Its table, and an export of a request an answer."""
    requests = [
        {"timestamp": 1, "request_inputs": {"TEXT": ITEM[0]}, "response_outputs": [{"RESULT": json.dumps(answer)}]}
        for answer in answers
    ]
    export = json.dumps({"experiments": [{"requests": requests}]})
    return WRITE.format(table=f"{HEADER}\n{row}\n" if row else f"{HEADER}\n", export=export)


def measure(analyzer: Analyzer, folder: Path, seconds: float = 0.9, load: Load | None = None) -> LoadFigures:
    expected = ExpectedAnswers(inputs=("TEXT",), items=(ITEM,), results={ITEM: "right"}, exact={})
    return analyzer.measure(
        address="127.0.0.1:8001",
        model="toy_w0.75-int8",
        load=load or Load("concurrency", 2),
        seconds=seconds,
        data=folder / "data.json",
        checker=AnswerChecker(expected),
        raw=folder / "toy_w0.75-int8-rate-0.5",
    )


def test_figures_and_answers(tmp_path: Path) -> None:
    """Latencies are written in microseconds; every answer is compared, the first wrong one is kept."""
    figures = measure(stand_in(tmp_path, writing(["right", "wrong", "worse", "right"])), tmp_path)
    assert (figures.throughput, figures.avg_ms, figures.delayed) == (123.4, 4.0, 7)
    assert (figures.p50_ms, figures.p90_ms, figures.p95_ms, figures.p99_ms) == (3.5, 5.0, 6.0, 9.0)
    assert (figures.requests, figures.checked, figures.wrong) == (4, 4, 2)
    example = {"inputs": ITEM, "outputs": {"RESULT": '"wrong"'}, "expected": "right"}
    assert figures.wrong_example == example
    assert figures.seconds > 0 and figures.client_cpu_s > 0


def test_raw_files_hold_no_texts(tmp_path: Path) -> None:
    """They would repeat the data set; the export is kept compressed, beside the table, under the cell's whole name."""
    measure(stand_in(tmp_path, writing(["right"])), tmp_path)
    raw = tmp_path / "toy_w0.75-int8-rate-0.5"
    assert not raw.with_name(f"{raw.name}.json").exists() and raw.with_name(f"{raw.name}.csv").is_file()
    with gzip.open(raw.with_name(f"{raw.name}.json.gz"), "rt", encoding="utf-8") as file:
        assert json.load(file) == {"experiments": [{"requests": [{"timestamp": 1}]}]}


def test_what_it_is_asked_for(tmp_path: Path) -> None:
    """The load, the model, the texts; an open loop is asynchronous."""
    analyzer = stand_in(tmp_path, writing(["right"]))
    measure(analyzer, tmp_path, load=Load("rate", 50.5))
    words = json.loads((tmp_path / "words").read_text(encoding="utf-8"))
    options: dict[str, Any] = dict(zip(words, [*words[1:], ""], strict=True))
    assert (options["-m"], options["-u"], options["-b"]) == ("toy_w0.75-int8", "127.0.0.1:8001", "1")
    assert options["--request-rate-range"] == "50.5" and options["--request-distribution"] == "poisson"
    assert "--async" in words and options["--measurement-interval"] == "300"


def test_a_window_without_answers_is_measured_longer(tmp_path: Path) -> None:
    """Three times as long, until a request fits in."""
    body = f"""
if int(words["--measurement-interval"]) < 800:
    sys.exit("no requests in the window: use a larger time window")
{writing(["right"])}
"""
    assert measure(stand_in(tmp_path, body), tmp_path).requests == 1
    words = json.loads((tmp_path / "words").read_text(encoding="utf-8"))
    assert words[words.index("--measurement-interval") + 1] == "900"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (
            'sys.exit("Failed to maintain requested inference load.\\nThread [0] had error: queue is full\\nThread [1] '
            'had error: other")',
            "perf_analyzer: queue is full",
        ),
        ('sys.exit("Error: unknown option --x\\nUsage: perf_analyzer [options]")', "Error: unknown option --x"),
        ('sys.exit("first line\\nlast line")', "perf_analyzer: last line"),
        ("sys.exit(9)", "perf_analyzer: exit code 9"),
        ("", "perf_analyzer: exit code 0"),  # it wrote nothing
        (writing(["right"], row=""), "perf_analyzer wrote an empty table"),
        (writing(["right"]).replace("TEXT", "OTHER"), "exported a request that was never given"),
    ],
)
def test_failures_say_why(body: str, message: str, tmp_path: Path) -> None:
    """One line: the first thread's error, which is the cause; never an old run's files."""
    measure(stand_in(tmp_path, writing(["right"])), tmp_path)
    with pytest.raises(TargetError, match=message):
        measure(stand_in(tmp_path, body), tmp_path)
    assert not list(tmp_path.glob("*.json"))


def test_it_does_not_wait_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With far more load than the server takes, perf_analyzer waits for every answer."""
    monkeypatch.setattr(module, "PATIENCE", -30.0)
    with pytest.raises(TargetError, match=r"did not end within 3 s: the load is far beyond"):
        measure(stand_in(tmp_path, "time.sleep(30)"), tmp_path)


def test_its_version(tmp_path: Path) -> None:
    """On either stream."""
    assert stand_in(tmp_path, 'print("2.50.0 (commit x)")').version() == "2.50.0 (commit x)"
    assert stand_in(tmp_path, 'sys.exit("2.60.0")').version() == "2.60.0"
