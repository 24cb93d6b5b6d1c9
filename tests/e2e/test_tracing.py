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

import httpx
import pytest

from ernie_runtime.collector import collector as collector_url
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer

from .gateways import gateway

pytestmark = pytest.mark.e2e
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


class Collector(ThreadingHTTPServer):
    """Keeps the spans that are posted to it. Triton posts them as JSON."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.spans: list[dict[str, Any]] = []

    def add(self, body: dict[str, Any]) -> None:
        for resource in body["resourceSpans"]:
            attributes = {a["key"]: a["value"] for a in resource["resource"]["attributes"]}
            service = attributes["service.name"]["stringValue"]
            self.spans += [{**span, "service": service} for scope in resource["scopeSpans"] for span in scope["spans"]]

    def of_trace(self, trace: str, last: str) -> dict[str, dict[str, Any]]:
        """The spans of a trace by name, once one of the name `last` is among them."""
        spans: dict[str, dict[str, Any]] = {}
        deadline = time.monotonic() + 20
        while last not in spans and time.monotonic() < deadline:
            time.sleep(0.1)
            spans = {span["name"]: span for span in self.spans if span["traceId"] == trace}
        return spans


class Handler(BaseHTTPRequestHandler):
    server: Collector

    def do_POST(self) -> None:
        assert self.path == "/v1/traces"
        self.server.add(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Nothing on stderr."""


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with Collector() as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.05,))
        thread.start()
        yield running
        running.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def traced(repository: Path, collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """One task, served with --trace."""
    folder = tmp_path_factory.mktemp("traced")
    for model in repository.glob("topic*"):
        shutil.copytree(model, folder / "repository" / model.name)
    options = ServerOptions(
        repository=folder / "repository",
        http_port=0,
        grpc_port=0,
        metrics_port=0,
        log_file=folder / "triton.log",
        trace=collector_url(f"otlp://127.0.0.1:{collector.server_port}"),
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
    spans = collector.of_trace(TRACE, "InferRequest")
    assert {span["service"] for span in spans.values()} == {"tritonserver"}
    assert spans["InferRequest"]["parentSpanId"] == PARENT
    assert spans["topic"]["parentSpanId"] == spans["InferRequest"]["spanId"]
    assert spans["topic_encoder_fp32"]["parentSpanId"] == spans["topic"]["spanId"]


def test_the_gateway_has_a_span_above_tritons(traced: TritonServer, collector: Collector) -> None:
    trace, other = TRACE[::-1], f"{7:032x}"
    url = f"http://127.0.0.1:{collector.server_port}/v1/traces"
    with gateway(traced.grpc_address, trace=url, trace_every=1000) as address:

        def ask(traceparent: str) -> None:
            headers = {"traceparent": traceparent} if traceparent else {}
            reply = httpx.post(f"{address}/v1/tasks/topic", json={"inputs": "球队赢得比赛"}, headers=headers)
            assert reply.json()["answers"][0]["label"] == "sport"

        ask(f"00-{other}-{PARENT}-00")  # its caller wants no trace
        ask(f"00-{trace}-{PARENT}-01")
        ask("")  # the first of a thousand without a caller's trace
        ask("")
    spans = collector.of_trace(trace, "InferRequest")  # the gateway's have been sent before it ended
    top = spans["POST /v1/tasks/{task}"]
    assert top["parentSpanId"] == PARENT
    assert {"key": "ernie.task", "value": {"stringValue": "topic"}} in top["attributes"]
    assert {"key": "http.response.status_code", "value": {"intValue": "200"}} in top["attributes"]
    assert spans["InferRequest"]["parentSpanId"] == top["spanId"]
    assert int(top["startTimeUnixNano"]) <= int(spans["topic"]["startTimeUnixNano"])
    assert int(top["endTimeUnixNano"]) >= int(spans["topic"]["endTimeUnixNano"])
    assert [span["traceId"] == trace for span in collector.spans if span["service"] == "ernie-gateway"] == [True, False]
    assert other not in {span["traceId"] for span in collector.spans}
