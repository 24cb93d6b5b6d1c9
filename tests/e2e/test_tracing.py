"""Spans of the real server, received by a collector in this process."""

from __future__ import annotations

import json
import shutil
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from ernie_serve import tracing
from ernie_serve.server import ServerOptions, TritonServer

pytestmark = pytest.mark.e2e
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Keeps the spans that are posted to it. Triton posts them as JSON."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: list[dict[str, Any]] = []
        self.services: set[str] = set()

    def add(self, body: dict[str, Any]) -> None:
        for resource in body["resourceSpans"]:
            attributes = {a["key"]: a["value"] for a in resource["resource"]["attributes"]}
            self.services.add(attributes["service.name"]["stringValue"])
            self.spans += [span for scope in resource["scopeSpans"] for span in scope["spans"]]


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.add(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture
def traced(repository: Path, collector: Collector, tmp_path: Path) -> Iterator[TritonServer]:
    """One task, served with --trace."""
    for model in repository.glob("topic*"):
        shutil.copytree(model, tmp_path / "repository" / model.name)
    options = ServerOptions(
        repository=tmp_path / "repository",
        http_port=0,
        grpc_port=0,
        metrics_port=0,
        log_file=tmp_path / "triton.log",
        trace=tracing.collector(f"otlp://127.0.0.1:{collector.server_port}"),
    )
    with TritonServer(options) as running:
        yield running


def test_a_request_and_its_steps_are_spans_of_the_callers_trace(traced: TritonServer, collector: Collector) -> None:
    body = {"inputs": [{"name": "TEXT", "datatype": "BYTES", "shape": [1, 1], "data": ["球队赢得比赛"]}]}
    request = urllib.request.Request(
        f"http://{traced.http_address}/v2/models/topic/infer",
        data=json.dumps(body).encode(),
        headers={"traceparent": f"00-{TRACE}-{PARENT}-01"},
    )
    urllib.request.urlopen(request).read()
    deadline = time.monotonic() + 20
    while not any(span["name"] == "InferRequest" for span in collector.spans) and time.monotonic() < deadline:
        time.sleep(0.1)
    spans = {span["name"]: span for span in collector.spans if span["name"] != "compute"}
    assert collector.services == {"tritonserver"}
    assert {span["traceId"] for span in spans.values()} == {TRACE}
    assert spans["InferRequest"]["parentSpanId"] == PARENT
    assert spans["topic"]["parentSpanId"] == spans["InferRequest"]["spanId"]
    steps = ["topic_tokenizer", "topic_encoder_fp32", "topic_postprocess"]
    assert all(spans[step]["parentSpanId"] == spans["topic"]["spanId"] for step in steps)
    begins = [int(spans[step]["startTimeUnixNano"]) for step in steps]
    assert begins == sorted(begins)
