"""Token counters, with a stand-in for the custom metrics of Triton's Python backend."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Mapping
from typing import ClassVar

from ernie_runtime.triton.metrics import PADDING, REAL, TokenCounters


class Counter:
    def __init__(self, labels: Mapping[str, str]) -> None:
        self.labels, self.added = labels, list[int]()

    def increment(self, value: int) -> None:
        self.added.append(value)


class MetricFamily:
    COUNTER = "counter"

    def __init__(self, name: str, description: str, kind: str) -> None:
        assert description and kind == self.COUNTER
        Server.families[name] = self
        self.metrics: list[Counter] = []

    def Metric(self, labels: Mapping[str, str]) -> Counter:
        self.metrics.append(Counter(labels))
        return self.metrics[-1]


class Server:
    MetricFamily = MetricFamily
    families: ClassVar[dict[str, MetricFamily]] = {}


def test_what_is_counted() -> None:
    count = TokenCounters(Server, "T_encoder_fp32", "3")
    count(120, 0)
    count(40, 7)
    (real,), (padding,) = Server.families[REAL].metrics, Server.families[PADDING].metrics
    assert real.labels == padding.labels == {"model": "T_encoder_fp32", "version": "3"}
    assert real.added == [120, 40] and padding.added == [7]  # an increment of nothing would only cost time


def test_metrics_go_before_their_families() -> None:
    """A family that goes first takes its metrics along, and the stub process crashes on what is left of them."""
    finalized: list[str] = []

    class Family(MetricFamily):
        def Metric(self, labels: Mapping[str, str]) -> Counter:
            counter = Counter(labels)
            weakref.finalize(counter, finalized.append, "metric")
            return counter

    class Stub:
        MetricFamily = Family

    count = TokenCounters(Stub, "T_encoder_fp32", "1")
    for family in (Server.families.pop(REAL), Server.families.pop(PADDING)):
        weakref.finalize(family, finalized.append, "family")
    del family
    count.close()
    gc.collect()
    assert finalized == ["metric", "metric", "family", "family"]
