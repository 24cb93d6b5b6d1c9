"""What happened between two readings of Triton's metrics."""

from __future__ import annotations

import pytest

from ernie_triton.errors import ServerError, ServerUnavailable
from ernie_triton.monitor.rates import ServerRates, between, owner_by_model
from ernie_triton.monitor.samples import parse, read

BEFORE = """
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="news",version="1"} 10
nv_inference_request_success{model="news_encoder_fp32",version="1"} 10
nv_inference_request_success{model="news_tokenizer",version="1"} 10
nv_inference_request_success{model="news_postprocess",version="1"} 10
nv_inference_request_success{model="news_fp32",version="1"} 0
nv_inference_count{model="news_encoder_fp32",version="1"} 30
nv_inference_exec_count{model="news_encoder_fp32",version="1"} 10
nv_cpu_utilization 0.5
nv_cpu_memory_used_bytes 1000
nv_cpu_memory_total_bytes 4000
"""
AFTER = """
# TYPE nv_inference_request_success counter
nv_inference_request_success{model="news",version="1"} 20
nv_inference_request_success{model="news",version="2"} 10
nv_inference_request_success{model="news_encoder_fp32",version="1"} 14
nv_inference_request_success{model="news_tokenizer",version="1"} 30
nv_inference_request_success{model="news_postprocess",version="1"} 30
nv_inference_request_success{model="news_fp32",version="1"} 0
nv_inference_request_failure{model="news",reason="REJECTED",version="1"} 3
nv_inference_request_failure{model="news",reason="CANCELED",version="1"} 1
nv_inference_request_failure{model="news",reason="BACKEND",version="1"} 2
nv_inference_count{model="news_encoder_fp32",version="1"} 62
nv_inference_exec_count{model="news_encoder_fp32",version="1"} 14
nv_inference_queue_duration_us{model="news_encoder_fp32",version="1"} 4000
nv_inference_compute_input_duration_us{model="news_encoder_fp32",version="1"} 1000
nv_inference_compute_infer_duration_us{model="news_encoder_fp32",version="1"} 6000
nv_inference_compute_output_duration_us{model="news_encoder_fp32",version="1"} 1000
nv_inference_request_duration_us{model="news_encoder_fp32",version="1"} 14000
nv_inference_pending_request_count{model="news_encoder_fp32",version="1"} 5
ernie_real_tokens_total{model="news_encoder_fp32",version="1"} 200
ernie_padding_tokens_total{model="news_encoder_fp32",version="1"} 20
nv_cpu_utilization 0.75
"""


def rates(before: str = BEFORE, after: str = AFTER, seconds: float = 4.0) -> ServerRates:
    return between(parse(before, 100.0), parse(after, 100.0 + seconds))


def test_steps_of_a_version_that_was_taken_over_belong_to_their_task() -> None:
    text = AFTER
    for step in ("tokenizer", "encoder_fp32", "postprocess"):
        text = text.replace(f'"news_{step}"', f'"news_{step}.v2-3"')
    models = rates(text, text).models
    assert [m.model for m in models if m.is_step] == [
        f"news_{step}.v2-3" for step in ("tokenizer", "encoder_fp32", "postprocess")
    ]


def test_a_task_is_followed_by_its_steps_in_the_order_of_a_request() -> None:
    models = rates().models
    assert [(m.model, m.is_step) for m in models] == [
        ("news", False),
        ("news_fp32", False),
        ("news_tokenizer", True),
        ("news_encoder_fp32", True),
        ("news_postprocess", True),
    ]


def test_rates_are_those_of_the_interval_and_of_all_versions() -> None:
    news, _, _, encoder, _ = rates().models
    assert news.requests_per_second == 5  # (20 + 10 - 10) / 4 s
    assert (news.refused_per_second, news.failed_per_second) == (1, 0.5)
    assert encoder.texts_per_second == 8
    assert encoder.rows_per_execution == 8  # 32 rows in 4 executions
    assert (encoder.queue_ms, encoder.compute_ms, encoder.total_ms) == (1, 2, 3.5)
    assert encoder.waiting == 5
    assert encoder.padding == 0.1


def test_where_nothing_was_answered_there_is_no_mean() -> None:
    fp32 = rates().models[1]
    assert fp32.is_idle
    assert (fp32.queue_ms, fp32.total_ms, fp32.rows_per_execution, fp32.padding) == (None, None, None, None)


def test_a_server_that_was_started_again_counts_from_zero() -> None:
    news = rates(before=AFTER, after=BEFORE).models[0]
    assert news.requests_per_second == 2.5
    assert news.refused_per_second == 0


def test_the_machine() -> None:
    assert (rates().cpu, rates().memory) == (0.75, None)
    assert (rates(after=BEFORE).memory, rates(after=BEFORE).memory_total) == (1000, 4000)


def test_a_task_whose_name_begins_with_another_tasks_keeps_its_own_steps() -> None:
    models = ["a", "a_tokenizer", "a_b", "a_b_tokenizer", "a_b_encoder_fp32", "a_encoder_fp32", "ernie_seqcls"]
    assert owner_by_model(models) == {
        **dict.fromkeys(("a", "a_tokenizer", "a_encoder_fp32"), "a"),
        **dict.fromkeys(("a_b", "a_b_tokenizer", "a_b_encoder_fp32"), "a_b"),
    }


def test_what_is_no_metrics_is_refused() -> None:
    with pytest.raises(ServerError, match="no metrics of Prometheus' text form"):
        parse('{"name": "triton", "extensions": []}', 0.0)
    with pytest.raises(ServerUnavailable, match=r"^no metrics at 127\.0\.0\.1:1: .*refused"):
        read("127.0.0.1:1")
