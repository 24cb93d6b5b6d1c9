"""Reading the server's statistics and metrics, from a real HTTP server with Triton's answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from ernie_perf.errors import TargetError
from ernie_perf.sweep.records import PaddingTokens
from ernie_perf.sweep.target import Counters, Target, read_padding, stages_between

METRICS = """
# HELP ernie_padding_tokens_total Padding
# TYPE ernie_padding_tokens_total counter
ernie_padding_tokens_total{model="news_encoder_fp32",version="1"} 80
ernie_real_tokens_total{version="1",model="news_encoder_fp32"} 1e+03
ernie_padding_tokens_total{model="other_encoder_fp32",version="1"} 5000
nv_inference_count{model="news_encoder_fp32",version="1"} 7
"""
STEPS = [{"model_name": name} for name in ("news_tokenizer", "news_encoder_fp32", "news_postprocess")]


def statistics(count: int, executions: int, fail: int = 0) -> dict[str, Any]:
    """Of one version, as Triton has it: each part took 2 ms a request."""
    parts = ("queue", "compute_input", "compute_infer", "compute_output")
    part = {"count": count, "ns": 2_000_000 * count}
    inference = {"success": {"count": count, "ns": 9}, "fail": {"count": fail, "ns": 9}}
    inference |= {name: part for name in parts}
    return {"inference_count": 4 * count, "execution_count": executions, "inference_stats": inference}


class Triton(BaseHTTPRequestHandler):
    """Answers from `pages`; a page that is a list gives its next element each time, and stays with the last."""

    pages: dict[str, Any]

    def do_GET(self) -> None:
        page = self.pages.get(self.path)
        if isinstance(page, list):
            page = page.pop(0) if len(page) > 1 else page[0]
        body = (page if isinstance(page, str) else json.dumps(page)).encode()
        self.send_response(200 if page is not None else 400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body if page is not None else b'"no"')

    def log_message(self, *arguments: Any) -> None:
        """Silence."""


PROVIDER = {"name": "tensorrt", "parameters": {"precision_mode": "FP16"}}


@pytest.fixture
def pages() -> dict[str, Any]:
    manifest = {"string_value": '{"task": "news"}'}
    return {
        "/v2": {"name": "triton", "version": "2.51.0", "extensions": ["classification"]},
        "/v2/models/news_fp32/config": {
            "ensemble_scheduling": {"step": STEPS},
            "parameters": {"manifest": manifest},
        },
        "/v2/models/news_plain/config": {"backend": "python"},
        "/v2/models/news_encoder_fp16/config": {
            "backend": "onnxruntime",
            "optimization": {"execution_accelerators": {"gpu_execution_accelerator": [{"name": "cuda"}, PROVIDER]}},
        },
        "/v2/models/news_encoder_plan/config": {"platform": "tensorrt_plan"},
        "/v2/models/news_tokenizer/stats": {"model_stats": [statistics(10, 5, fail=1), statistics(20, 5)]},
        "/metrics": METRICS,
    }


@pytest.fixture
def target(pages: dict[str, Any]) -> Iterator[Target]:
    handler = type("Handler", (Triton,), {"pages": pages})
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        address = f"127.0.0.1:{server.server_address[1]}"
        yield Target(grpc="127.0.0.1:1", http=address, metrics=address)
        server.shutdown()
        thread.join()


def test_the_server_and_its_models(target: Target) -> None:
    """An ensemble's steps in their order; a model that is no ensemble is its own only step."""
    assert target.describe().version == "2.51.0" and target.describe().extensions == ["classification"]
    assert target.step_models("news_fp32") == ("news_tokenizer", "news_encoder_fp32", "news_postprocess")
    assert target.step_models("news_plain") == ("news_plain",)
    assert target.manifest("news_fp32") == '{"task": "news"}'
    with pytest.raises(TargetError, match="news_plain: carries no manifest"):
        target.manifest("news_plain")


def test_the_precision_that_tensorrt_computes_in(target: Target) -> None:
    assert target.precision(("news_plain", "news_encoder_fp16")) == "TensorRT FP16"
    assert target.precision(("news_encoder_plan",)) == "TensorRT plan"
    assert target.precision(("news_plain",)) == ""


def test_counters_are_sums_over_versions(target: Target) -> None:
    """While a model is updated two versions answer."""
    assert target.counters(["news_tokenizer"]) == {
        "news_tokenizer": Counters(
            inferences=120,
            executions=10,
            requests=30,
            failures=1,
            queue_ns=60_000_000,
            input_ns=60_000_000,
            infer_ns=60_000_000,
            output_ns=60_000_000,
        )
    }


def test_waiting_ends_when_nothing_moves(
    target: Target, pages: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two seconds without a finished batch, after two in which something was still run; or when patience ends."""
    monkeypatch.setattr("ernie_perf.sweep.target.QUIET_SECONDS", 2)
    naps: list[float] = []
    monkeypatch.setattr("ernie_perf.sweep.target.time.sleep", naps.append)
    busy = [{"model_stats": [statistics(n, n)]} for n in (1, 2, 3)]
    pages["/v2/models/m/stats"] = busy
    target.wait_until_idle(["m"])
    assert naps == [1.0] * 4
    naps.clear()
    target.wait_until_idle(["m"], patience=0.0)
    assert naps == []


def test_padding_counters_of_the_models_asked_for(target: Target) -> None:
    """Of one model among others; none where there is no such counter, or no address of metrics."""
    expected = PaddingTokens(real_tokens=1000, padding_tokens=80)
    assert read_padding(METRICS, ["news_encoder_fp32"]) == target.padding(["news_encoder_fp32"]) == expected
    assert read_padding(METRICS, ["news_tokenizer"]) is None
    assert Target(grpc=target.grpc, http=target.http).padding(["news_encoder_fp32"]) is None
    total = read_padding(METRICS, ["news_encoder_fp32", "other_encoder_fp32"])
    assert total == PaddingTokens(real_tokens=1000, padding_tokens=5080)
    assert total.since(expected) == PaddingTokens(real_tokens=0, padding_tokens=5000)


def test_stage_times_are_of_what_happened_between() -> None:
    """Nanoseconds a request; batch: inferences an execution."""
    names = ("queue_ns", "input_ns", "infer_ns", "output_ns")
    before = Counters(inferences=10, executions=5, requests=10, failures=0, **dict.fromkeys(names, 100))
    after = Counters(inferences=50, executions=15, requests=50, failures=1, **dict.fromkeys(names, 4100))
    (stage,) = stages_between({"m": before}, {"m": after})
    assert stage.batch == 4.0 and stage.failures == 1 and stage.executions == 10
    assert (stage.queue_ns, stage.input_ns, stage.infer_ns, stage.output_ns) == (100,) * 4


def test_a_model_that_ran_nothing(target: Target) -> None:
    """No division by zero."""
    (stage,) = stages_between({"m": Counters()}, {"m": Counters()})
    assert (stage.inferences, stage.batch, stage.infer_ns) == (0, 0, 0)


def test_a_server_that_is_not_there_or_refuses(target: Target) -> None:
    """One line with the address; what the server says."""
    with pytest.raises(TargetError, match=r"http://127\.0\.0\.1:9/v2: no answer"):
        Target(grpc="127.0.0.1:9", http="127.0.0.1:9").describe()
    with pytest.raises(TargetError, match=r'/v2/models/none/config: 400 "no"'):
        target.model_config("none")
