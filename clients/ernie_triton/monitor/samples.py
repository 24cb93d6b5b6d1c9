"""Triton's metrics at one moment: counters of each model, and those of the machine."""

from __future__ import annotations

import time
import urllib.request
from collections import defaultdict
from dataclasses import dataclass

from ..errors import ServerError, ServerUnavailable

REQUESTS, FAILURES = "nv_inference_request_success", "nv_inference_request_failure"
TEXTS, EXECUTIONS = "nv_inference_count", "nv_inference_exec_count"
TOTAL_US, QUEUE_US = "nv_inference_request_duration_us", "nv_inference_queue_duration_us"
COMPUTE_US = tuple(f"nv_inference_compute_{part}_duration_us" for part in ("input", "infer", "output"))
PENDING = "nv_inference_pending_request_count"
REAL_TOKENS, PADDING_TOKENS = "ernie_real_tokens_total", "ernie_padding_tokens_total"
CPU, MEMORY, MEMORY_TOTAL = "nv_cpu_utilization", "nv_cpu_memory_used_bytes", "nv_cpu_memory_total_bytes"
"""Metrics that are read; the times are microseconds, summed over requests."""

PER_MODEL = frozenset(
    (REQUESTS, FAILURES, TEXTS, EXECUTIONS, TOTAL_US, QUEUE_US, *COMPUTE_US, PENDING, REAL_TOKENS, PADDING_TOKENS)
)
MACHINE = frozenset((CPU, MEMORY, MEMORY_TOTAL))
REFUSED = "refused"
"""Name under which the failures are counted that the server chose: a full queue, a deadline that had passed."""

_REFUSALS = frozenset(("REJECTED", "CANCELED"))


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One reading. seconds: by a monotonic clock."""

    seconds: float
    models: dict[str, dict[str, float]]
    """Metrics by model name, summed over its versions."""
    machine: dict[str, float]


def parse(text: str, seconds: float) -> Sample:
    """Read the text form of Prometheus' metrics; ServerError where it is not that."""
    from prometheus_client.parser import text_string_to_metric_families

    models: dict[str, dict[str, float]] = defaultdict(lambda: defaultdict(float))
    machine = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                name = sample.name
                if name not in PER_MODEL:
                    name = name.removesuffix("_total")  # the parser puts it behind counters that lack it
                if name in MACHINE:
                    machine[name] = sample.value
                elif name in PER_MODEL and "model" in sample.labels:
                    refused = name == FAILURES and sample.labels.get("reason") in _REFUSALS
                    models[sample.labels["model"]][REFUSED if refused else name] += sample.value
    except ValueError as error:
        raise ServerError(f"these are no metrics of Prometheus' text form: {error}") from None
    return Sample(seconds=seconds, models={name: dict(values) for name, values in models.items()}, machine=machine)


def read(address: str, timeout: float = 5.0) -> Sample:
    """The metrics that the server at `address` (host:port of its metrics) gives now. ServerUnavailable, ServerError."""
    try:
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=timeout) as reply:
            text = reply.read().decode(errors="replace")
    except (OSError, ValueError) as error:  # ValueError: the address is none
        reason = getattr(error, "reason", None) or error
        raise ServerUnavailable(f"no metrics at {address}: {reason}") from None
    sample = parse(text, time.monotonic())
    if not sample.models:
        raise ServerError(f"{address} has no metrics of a model; is it Triton's metrics port?")
    return sample
