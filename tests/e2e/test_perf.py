"""The real server measured by the real perf_analyzer, for a few seconds."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from ernie_perf import cli
from ernie_perf.errors import AnswerError, TargetError
from ernie_perf.sweep.analyzer import Analyzer
from ernie_perf.sweep.answers import AnswerChecker
from ernie_perf.sweep.expected import ExpectedAnswers, expected_answers, write_input_data
from ernie_perf.sweep.records import LoadFigures
from ernie_perf.sweep.settings import Load
from ernie_runtime.steps.pipeline import Pipeline
from ernie_serve import ServeError, perf_analyzer
from ernie_serve.server import TritonServer

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    """Where it cannot run, `locate` says why."""
    try:
        return Analyzer(*perf_analyzer.locate())
    except ServeError as error:
        pytest.skip(str(error))


def test_sweep_then_report(
    analyzer: Analyzer, repository: Path, build_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server of its own; every figure is there; the same command measures nothing again."""
    flags = dict(zip(build_arguments[::2], build_arguments[1::2], strict=False))
    command = ["sweep", "--repository", str(repository), "--tasks", "topic,ner", "--concurrency", "2", "--rates", "40"]
    command += ["--rounds", "1", "--seconds", "0.9", "--limit", "30", "--engine", "--batches", "4"]
    command += ["--tasks-file", flags["--tasks-file"], "--data-dir", flags["--data-dir"]]
    command += ["--output", str(tmp_path / "run")]
    assert cli.main(command) == 0, capsys.readouterr()
    records = [
        json.loads(line) for line in (tmp_path / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    assert [r["mode"] for r in records] == ["concurrency"] * 2 + ["rate"] * 2 + ["engine"] * 4
    for record in records[:4]:
        assert record["requests"] > 10 and record["checked"] > 0 and record["wrong"] == 0, record
        assert 0 < record["p50_ms"] <= record["p99_ms"] and record["throughput"] > 5
        encoder = f"{record['task']}_encoder_fp32"
        assert [stage["model"] for stage in record["stages"]] == [encoder]
        assert all(stage["infer_ns"] > 0 and stage["inferences"] >= record["requests"] for stage in record["stages"])
        assert record["processes"][encoder]["cpu_s"] > 0 and record["processes"]["tritonserver"]["rss"] > 1e6
    about = json.loads((tmp_path / "run" / "run.json").read_text(encoding="utf-8"))
    assert about["tasks"]["topic"]["texts"]["texts"] == 30 and about["server"]["version"].startswith("2.")
    assert about["checked"]["topic_fp32"]["in_perf_analyzer"] == ["LABEL_ID"]

    assert cli.main(command) == 0
    assert len((tmp_path / "run" / "records.jsonl").read_text(encoding="utf-8").splitlines()) == len(records)
    assert cli.main(["report", str(tmp_path / "run")]) == 0
    assert "topic-latency.svg" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize("task", ["topic", "ner"])
def test_several_texts_a_request(
    analyzer: Analyzer, repository: Path, build_arguments: list[str], tmp_path: Path, task: str
) -> None:
    """Every text's answer is compared: labels, spans."""
    flags = dict(zip(build_arguments[::2], build_arguments[1::2], strict=False))
    command = ["sweep", "--repository", str(repository), "--tasks", task, "--concurrency", "2", "--rounds", "1"]
    command += ["--request-texts", "5", "--seconds", "0.9", "--limit", "12", "--output", str(tmp_path / "run")]
    command += ["--tasks-file", flags["--tasks-file"], "--data-dir", flags["--data-dir"]]
    assert cli.main(command) == 0
    record = json.loads((tmp_path / "run" / "records.jsonl").read_text(encoding="utf-8"))
    assert record["wrong"] == 0 and record["checked"] > 4 * record["requests"] > 0, record
    assert cli.main(["report", str(tmp_path / "run")]) == 0
    assert "5 texts a request" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")


def test_growth_measures_the_cost_of_a_token(
    repository: Path, build_arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Texts of exactly the lengths asked for, bare and served; lengths that a task has not are refused in a line."""
    flags = dict(zip(build_arguments[::2], build_arguments[1::2], strict=False))
    command = ["growth", "--repository", str(repository), "--task", "topic", "--data-dir", flags["--data-dir"]]
    command += ["--tasks-file", flags["--tasks-file"], "--batches", "1,4", "--concurrency", "2", "--rounds", "1"]
    command += ["--seconds", "0.3", "--limit", "6"]
    assert cli.main([*command, "--output", str(tmp_path / "growth.json")]) == 0, capsys.readouterr()
    report = capsys.readouterr().out
    assert "| tokens a text | engine, batch 1: us a token | engine, batch 4: us a token | served, 2 callers" in report
    rows = json.loads((tmp_path / "growth.json").read_text(encoding="utf-8"))["lengths"]
    assert [row["tokens"] for row in rows] == [8, 16, 32]
    for row in rows:
        assert all(rate > 1 for rate in (*row["engine"].values(), *row["served"].values())) and row["p50_ms"]["2"] > 0
    assert cli.main([*command, "--lengths", "1"]) == 1
    assert "no 6 texts of 1 tokens in one window" in capsys.readouterr().err


def test_a_server_with_wrong_answers_is_not_measured(
    analyzer: Analyzer, server: TritonServer, pipelines: dict[str, Pipeline], tmp_path: Path
) -> None:
    """By perf_analyzer for a label, by the comparison afterwards for all of an answer."""
    pipeline, items = pipelines["topic"], [("球队赢得比赛",), ("银行下调利率",)]
    variant = pipeline.manifest.variant("fp32")
    right = expected_answers(server.grpc_address, pipeline, variant, items)
    wrong_labels = replace(right, exact={item: {"LABEL_ID": (right.exact[item]["LABEL_ID"] + 1) % 3} for item in items})
    wrong_results = replace(right, exact={}, results={item: {**right.results[item], "tokens": 99} for item in items})

    def measure(expected: ExpectedAnswers, name: str, texts: int = 1) -> LoadFigures:
        data = tmp_path / f"{name}-texts.json"
        write_input_data(expected, data, validate=texts == 1)
        return analyzer.measure(
            address=server.grpc_address,
            model="topic_fp32",
            load=Load("concurrency", 2),
            seconds=0.6,
            data=data,
            checker=AnswerChecker(expected, texts),
            raw=tmp_path / name,
        )

    assert measure(right, "right").wrong == 0
    with pytest.raises(TargetError, match="Output doesn't match expected output"):
        measure(wrong_labels, "wrong")
    figures = measure(wrong_results, "other")
    assert figures.wrong == figures.checked != 0
    assert measure(replace(right, exact={}), "three", 3).wrong == 0
    figures = measure(
        wrong_labels, "three-wrong", 3
    )  # all of a request's texts are compared, and none is perf_analyzer's
    assert figures.wrong == figures.checked == 3 * figures.requests != 0

    swapped = replace(pipeline.manifest, labels=tuple(reversed(pipeline.manifest.labels)))
    with pytest.raises(AnswerError, match="is it the same repository"):
        expected_answers(server.grpc_address, Pipeline(swapped, pipeline.tokenizer, pipeline.engine), variant, items)
