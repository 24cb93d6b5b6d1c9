"""The commands of docker/kubernetes/rendered, started here as they stand there, and asked as Kubernetes asks them.

The addresses are of this machine's loopback: one of their own, where the Pods' ports are free.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ernie_gateway import keys

from ..kubernetes import METRIC, Rendered, replaced

pytestmark = pytest.mark.e2e
HOST = "127.0.18.1"
SECONDS = 180.0
RENDERED = Rendered.load("cpu")


def get(port: int, path: str, body: object = None, key: str = "") -> tuple[int, str]:
    """Status and body; (0, reason) where nobody listens."""
    connection = http.client.HTTPConnection(HOST, port, timeout=30)
    headers = {"authorization": f"Bearer {key}"} if key else {}
    try:
        connection.request("POST" if body else "GET", path, json.dumps(body) if body else None, headers)
        reply = connection.getresponse()
        return reply.status, reply.read().decode()
    except OSError as error:
        return 0, str(error)
    finally:
        connection.close()


def probe(component: str, name: str) -> int:
    """The status that a probe of the manifest gets."""
    return get(*RENDERED.probe(component, name))[0]


def wait(process: subprocess.Popen[bytes], component: str, name: str, log: Path) -> None:
    """Until the probe succeeds."""
    deadline = time.monotonic() + SECONDS
    while probe(component, name) != 200:
        assert process.poll() is None and time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


@contextmanager
def pod(component: str, values: dict[str, str], folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The container's process, which the image starts as `ernie-triton`; it ends as Kubernetes ends it."""
    container, log = RENDERED.container(component), folder / f"{component}.log"
    environment = {item["name"]: item["value"] for item in container.get("env", ())}
    environment |= {"ERNIE_TRITON_CACHE": str(folder / "cache")}  # a volume of the Pod
    words = [sys.executable, "-m", "ernie_triton", *replaced(container["args"], values)]
    with log.open("wb") as output:
        process = subprocess.Popen(words, env={**os.environ, **environment}, stdout=output, stderr=output)
    try:
        yield process, log
        process.send_signal(signal.SIGTERM)
        assert process.wait(RENDERED.pod(component)["terminationGracePeriodSeconds"]) == 0
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


def test_the_manifests_hold(repository: Path, tmp_path: Path) -> None:
    models = tmp_path / "models"
    for model in repository.glob("topic*"):
        shutil.copytree(model, models / model.name)
    (url,) = [word for word in RENDERED.container("gateway")["args"] if word.endswith("-server:8001")]
    file = tmp_path / "keys.txt"
    key = keys.add(file, "test")
    there = {
        url: f"{HOST}:{RENDERED.service_port('server', 8001)}",
        "0.0.0.0": HOST,
        "/secrets/keys/keys.txt": str(file),
    }
    with pod("gateway", there, tmp_path) as (gateway, gateway_log):
        wait(gateway, "gateway", "livenessProbe", gateway_log)
        assert probe("gateway", "readinessProbe") == 503  # no server yet
        with pod("server", {"/models": str(models), "0.0.0.0": HOST}, tmp_path) as (server, log):
            wait(server, "server", "livenessProbe", log)
            assert probe("server", "readinessProbe") == 503
            wait(server, "server", "startupProbe", log)
            assert probe("server", "readinessProbe") == 200
            port, path = RENDERED.probe("server", "readinessProbe")
            assert [get(port, f"{path}/{task}")[0] for task in ("topic", "other")] == [200, 404]  # server.readyTask
            wait(gateway, "gateway", "readinessProbe", gateway_log)
            port = RENDERED.service_port("gateway", "http")
            asked = {"inputs": ["球队赢得比赛"]}
            assert get(port, "/v1/tasks/topic", asked)[0] == 401
            status, answer = get(port, "/v1/tasks/topic", asked, key)
            assert (status, json.loads(answer)["answers"][0]["label"]) == (200, "sport")
            scrapes = {component: get(port, path) for component, port, path in RENDERED.scraped()}
            assert {status for status, _ in scrapes.values()} == {200}
            known = set(re.findall(r"^# TYPE (\S+) ", scrapes["server"][1], re.MULTILINE))
            used = {metric for query in RENDERED.queries() for metric in METRIC.findall(query)}
            assert len(used) == 3 and used <= known
            for metric in used:
                assert re.search(rf'^{metric}{{[^}}]*model="topic', scrapes["server"][1], re.MULTILINE), metric
            assert "ernie_gateway_requests_total" in scrapes["gateway"][1]
        assert probe("server", "readinessProbe") == 0
        assert get(port, "/v1/tasks/topic", asked, key)[0] == 503
