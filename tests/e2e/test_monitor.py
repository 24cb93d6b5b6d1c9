"""`ernie-triton top`, the dashboard and the alerts, against the metrics of the real server; `ernie-triton models`."""

from __future__ import annotations

import json
import re
import shutil
import time
import urllib.request
from pathlib import Path

import pytest
import yaml

from ernie_serve import models
from ernie_serve.server import TritonServer
from ernie_triton import Client
from ernie_triton.monitor.rates import between
from ernie_triton.monitor.samples import REQUESTS, Sample, read
from ernie_triton.monitor.top import main

pytestmark = pytest.mark.e2e
DOCKER = Path(__file__).parents[2] / "docker"


def counted(server: TritonServer, before: Sample, requests: int) -> Sample:
    """A reading with so many more requests of the task and of its step: Triton counts one after it has answered it."""
    deadline = time.monotonic() + 10
    while True:
        after = read(server.metrics_address)
        grown = [after.models[m][REQUESTS] - before.models[m][REQUESTS] for m in ("topic", "topic_encoder_fp32")]
        if min(grown) >= requests or time.monotonic() > deadline:
            return after


def test_top_counts_what_was_asked(server: TritonServer) -> None:
    with Client(server.grpc_address) as client:
        start = read(server.metrics_address)
        client.predict("topic", "球队赢得比赛")
        before = counted(server, start, 1)
        client.predict("topic", ["球队赢得比赛", "银行下调利率", "餐厅的味道"])
        client.predict("topic", "厨师")
        rates = between(before, counted(server, before, 2))
    models = {model.model: model for model in rates.models}
    assert round(models["topic"].requests_per_second * rates.seconds) == 2
    encoder = models["topic_encoder_fp32"]
    assert round(encoder.texts_per_second * rates.seconds) == 4
    assert encoder.is_step
    assert encoder.total_ms is not None
    assert encoder.compute_ms is not None
    assert 0 < encoder.compute_ms <= encoder.total_ms
    assert rates.memory is not None


def test_the_command_prints_a_line_of_json_an_interval(
    server: TritonServer, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--metrics-url", server.metrics_address, "--interval", "0.1", "--count", "2", "--json"]) == 0
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [{"topic", "ner"} <= {model["model"] for model in line["models"]} for line in lines] == [True, True]


def expressions() -> list[str]:
    """Every PromQL expression that ships."""
    rules = yaml.safe_load((DOCKER / "prometheus-rules.yml").read_text())
    dashboard = json.loads((DOCKER / "grafana-dashboard.json").read_text())
    return [
        *(rule["expr"] for group in rules["groups"] for rule in group["rules"]),
        *(target["expr"] for panel in dashboard["panels"] for target in panel["targets"]),
        *(variable["query"]["query"] for variable in dashboard["templating"]["list"] if variable["name"] != "source"),
    ]


def test_dashboard_and_alerts_use_metrics_that_there_are(server: TritonServer) -> None:
    with urllib.request.urlopen(f"http://{server.metrics_address}/metrics") as reply:
        known = {*re.findall(r"^# TYPE (\S+) ", reply.read().decode(), re.MULTILINE), "up"}
    used = {name for text in expressions() for name in re.findall(r"\b(?:nv_|ernie_)\w+|\bup\b", text)}
    assert len(used) > 10
    assert used <= known


def test_what_must_be_loaded_together_is_told_and_checked(
    server: TritonServer, repository: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    check = ["--check", "--http-url", server.http_address, "--repository"]
    assert models.main(["topic", "--json", *check, str(repository)]) == 0
    told = json.loads(capsys.readouterr().out)["topic"]
    assert told["load"] == ["topic", "topic_fp32"]
    assert set(told["folders"]) == {path.name for path in repository.glob("topic*")}
    for model in repository.glob("topic*"):  # a newer version, with one more variant, that the server has not loaded
        shutil.copytree(model, tmp_path / model.name)
        (tmp_path / model.name / "1").rename(tmp_path / model.name / "2")
    shutil.copytree(tmp_path / "topic_fp32", tmp_path / "topic_int8")
    assert models.main([*check, str(tmp_path)]) == 1
    assert capsys.readouterr().err.splitlines() == [
        *(
            f"ernie-triton models: {model} is loaded, but not version 2, the newest: load topic again"
            for model in ("topic", "topic_encoder_fp32")
        ),
        "ernie-triton models: topic_fp32 is loaded, but not version 2, the newest: load topic_fp32 again",
        "ernie-triton models: topic_int8 is not loaded: load topic_int8",
    ]
