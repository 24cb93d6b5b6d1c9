"""`ernie-triton evaluate`: the figures of a labelled file, through a server and without one."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

import pytest

from ernie_builders.evaluation.cli import main
from ernie_serve import ServerOptions, TritonServer

from ..command_line import OneLine, fault_line
from ..places import Place


@pytest.fixture
def one_line(capsys: pytest.CaptureFixture[str]) -> OneLine:
    """Check that the command failed with exit code 1 and one line on standard error."""
    return partial(fault_line, program="ernie-triton evaluate", capsys=capsys)


@pytest.fixture
def rows(finished: Place) -> list[tuple[str, str]]:
    """(text, label) of the dev file."""
    lines = (finished.data_dir / "topics" / "dev.json").read_text(encoding="utf-8").splitlines()
    return [(row["sentence"], row["label"]) for row in map(json.loads, lines)]


def report_of(capsys: pytest.CaptureFixture[str], *arguments: str | Path) -> dict:
    assert main([*map(str, arguments), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_the_builds_own_dev_file(finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dev, built = finished.data_dir / "topics" / "dev.json", finished.figures("evaluate")
    report = report_of(capsys, "topics", dev, "--repository", finished.output, "--output", tmp_path)
    assert (report["rows"], report["wrong"]) == (built["rows"], built["wrong"])
    assert {name: metric["value"] for name, metric in report["metrics"].items()} == built["metrics"]
    assert {name: metric["standard_error"] for name, metric in report["metrics"].items()} == built["errors"]
    stage = finished.stage("evaluate")
    for name in ("wrong.jsonl", "bad_case.txt", "classes.tsv"):
        assert (tmp_path / name).read_bytes() == (stage / name).read_bytes()
    counts = report["confusion"]["counts"]
    assert sum(map(sum, counts)) == report["rows"]
    assert sum(row[i] for i, row in enumerate(counts)) == report["rows"] - report["wrong"]
    assert (tmp_path / "report.png").read_bytes().startswith(b"\x89PNG")


def test_a_table_with_a_text_that_cannot_be_answered(
    finished: Place, rows: list[tuple[str, str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "labelled.csv"
    lines = [f"{text},{label}\n" for text, label in [*rows[:20], (" ", "west")]]
    file.write_text("内容,标签\n" + "".join(lines), encoding="utf-8")
    assert main(["topics", str(file), "--repository", str(finished.output), "--output", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert "CSV" in printed and "21 rows" in printed and "accuracy" in printed and " ± " in printed
    confusion = (tmp_path / "out" / "confusion.tsv").read_text(encoding="utf-8").splitlines()
    assert confusion[0].split("\t") == ["expected", "north", "south", "west", "(no answer)"]
    assert confusion[3].endswith("\t1")
    bad = (tmp_path / "out" / "bad_case.txt").read_text(encoding="utf-8").splitlines()
    assert bad[0] == "Text\tLabel\tPrediction"
    assert any(line.startswith(" \twest\t") for line in bad)


def test_what_cannot_be_scored(finished: Place, tmp_path: Path, one_line: OneLine) -> None:
    where = ["--repository", str(finished.output), "--output", str(tmp_path)]
    dev = str(finished.data_dir / "topics" / "dev.json")
    one_line(main(["topics", str(tmp_path / "none.csv"), *where]), "no such file")
    one_line(main(["topic", dev, *where]), "has no task 'topic'")
    one_line(main(["topics", dev, *where, "--variant", "fp31"]), "no variant 'fp31'; did you mean fp32?")
    names = str(finished.data_dir / "names" / "dev.txt")
    one_line(main(["topics", names, *where]), "looks like token_classification")
    other = tmp_path / "other.jsonl"
    other.write_text('{"text": "的", "label": "east"}\n{"text": "一", "label": "north"}\n', encoding="utf-8")
    one_line(main(["topics", str(other), *where]), "other.jsonl:1: label 'east' is none of north, south, west")
    assert not (tmp_path / "report.png").exists()


def test_url_and_repository_exclude_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        main(["topics", "dev.json", "--url", "127.0.0.1:1", "--repository", "models"])
    assert stop.value.code == 2
    assert "give one of them" in capsys.readouterr().err


def test_no_server(tmp_path: Path, one_line: OneLine) -> None:
    one_line(main(["topics", "dev.json", "--url", "127.0.0.1:1"]), "the server at 127.0.0.1:1, task 'topics': ")


@pytest.mark.e2e
def test_through_a_server(finished: Place, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    dev = finished.data_dir / "topics" / "dev.json"
    here = report_of(capsys, "topics", dev, "--repository", finished.output, "--output", tmp_path / "here")
    options = ServerOptions(
        repository=finished.output, http_port=0, grpc_port=0, metrics_port=0, log_file=tmp_path / "server.log"
    )
    with TritonServer(options) as server:
        there = report_of(capsys, "topics", dev, "--url", server.grpc_address, "--output", tmp_path / "there")
    assert there | {"folder": ""} == here | {"folder": ""}
