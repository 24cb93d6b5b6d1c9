"""Reading the server's statistics and metrics."""

from __future__ import annotations

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
