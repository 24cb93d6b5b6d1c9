"""Counters for Prometheus; those of several workers are added up through files (PROMETHEUS_MULTIPROC_DIR)."""

from __future__ import annotations

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

TYPE = CONTENT_TYPE_LATEST
SHARED = "PROMETHEUS_MULTIPROC_DIR"
REQUESTS = Counter("ernie_gateway_requests", "Requests by address, task and status.", ("route", "task", "status"))
ITEMS = Counter("ernie_gateway_items", "Items that were asked.", ("task",))
FAULTS = Counter("ernie_gateway_item_errors", "Items that could not be answered.", ("task",))
SECONDS = Histogram(
    "ernie_gateway_request_seconds",
    "Seconds from a request's head to the end of its answer.",
    ("route",),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
)
ROWS = Histogram(
    "ernie_gateway_triton_request_rows",
    "Texts in a request to Triton, which may be of several callers.",
    ("model",),
    buckets=(1, 2, 4, 8, 16, 32, 64),
)
IN_HAND = Gauge("ernie_gateway_requests_in_hand", "Requests being answered.", multiprocess_mode="livesum")


def sent(model: str, rows: int) -> None:
    """Count a request to Triton."""
    ROWS.labels(model).observe(rows)


def render() -> bytes:
    """All counters, in Prometheus' text format."""
    if SHARED not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
