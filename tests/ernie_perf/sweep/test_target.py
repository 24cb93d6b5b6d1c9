"""Reading the server's statistics and metrics, and its processes."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from ernie_perf import processes
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


def test_padding_counters_of_the_models_asked_for() -> None:
    """Of one model among others; none where there is no such counter."""
    assert read_padding(METRICS, ["news_encoder_fp32"]) == PaddingTokens(real_tokens=1000, padding_tokens=80)
    assert read_padding(METRICS, ["news_tokenizer"]) is None


def test_stage_times_are_of_what_happened_between() -> None:
    """Nanoseconds a request; batch: inferences an execution."""
    names = ("queue_ns", "input_ns", "infer_ns", "output_ns")
    before = Counters(inferences=10, executions=5, requests=10, failures=0, **dict.fromkeys(names, 100))
    after = Counters(inferences=50, executions=15, requests=50, failures=1, **dict.fromkeys(names, 4100))
    (stage,) = stages_between({"m": before}, {"m": after})
    assert stage.batch == 4.0 and stage.failures == 1 and stage.executions == 10
    assert (stage.queue_ns, stage.input_ns, stage.infer_ns, stage.output_ns) == (100,) * 4


def test_a_server_that_is_not_there() -> None:
    """One line with the address."""
    with pytest.raises(TargetError, match=r"http://127\.0\.0\.1:9/v2: no answer"):
        Target(grpc="127.0.0.1:9", http="127.0.0.1:9").describe()


def test_roles_of_processes() -> None:
    """A stub is known by its model; the guard and others are left out."""
    stub = ["/b/triton_python_backend_stub", "/repo/news_encoder_w0.75-int8/3/model.onnx", "prefix"]
    assert processes.role_of(stub) == "news_encoder_w0.75-int8"
    assert processes.role_of(["/x/bin/tritonserver", "--id=a"]) == "tritonserver"
    assert processes.role_of([sys.executable, "guard.py", "/x/bin/tritonserver"]) is None


def test_cpu_time_of_a_descendant_is_counted(tmp_path: Path) -> None:
    """A busy process under this one, told by the name it runs under; servers of other tests may be there too."""
    before = processes.usage_by_role(os.getpid()).get("tritonserver", processes.Usage())
    (tmp_path / "tritonserver").symlink_to("/bin/sh")
    busy = subprocess.Popen([str(tmp_path / "tritonserver"), "-c", "while :; do :; done"])
    try:
        end, used = time.monotonic() + 20, processes.Usage()
        while used.cpu_s - before.cpu_s < 0.1 and time.monotonic() < end:
            time.sleep(0.02)
            used = processes.usage_by_role(os.getpid()).get("tritonserver", used)
    finally:
        busy.kill()
        busy.wait()
    assert used.count == before.count + 1
    assert 0.1 <= used.cpu_s - before.cpu_s < 5
    assert used.rss - before.rss > 100_000
