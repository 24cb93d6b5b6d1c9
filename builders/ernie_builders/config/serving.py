"""How Triton runs a task's models under load: the table [tasks.X.serving]."""

from __future__ import annotations

from dataclasses import dataclass, replace

from .schema import Faults

QUEUE_SIZE = 256  # requests, where queues are bounded but neither queue_size nor the encoder's speed is known
MIN_QUEUE_SIZE = 32  # requests
SLO_TEXTS = 1024  # texts that a variant answers in the SLO that is derived from its speed
MIN_SLO, MAX_SLO, UNMEASURED_SLO = 2_000, 10_000, 5_000  # ms, of a derived SLO
NO_TIMEOUT = 3_600_000  # ms, an hour: Triton respects a request's own timeout only if the configuration's is longer
MAX_ROWS = 32  # per execution while requests wait: one accepted late must not wait for a batch of all waiting ones
INTERACTIVE, BULK = 1, 2  # `priority` of a request; the default is interactive
MAX_INSTANCES = 256
TOKENIZER, WHOLE_TASK = "ernie_tokenizer", "ernie_pipeline"  # backends
UNBOUNDED = ("ernie_postprocess",)  # backends whose queues stay unbounded: a refusal would waste the encoder's work
SLO = "slo_ms"  # parameter of a whole task, which refuses requests itself: ernie_runtime/triton/admission.py
CHEAP = (TOKENIZER, *UNBOUNDED)  # backends fast enough to take any number of rows per execution


@dataclass(frozen=True, kw_only=True)
class ServingConfig:
    """Limits on waiting requests, and settings of the Python engines that are otherwise calibrated."""

    slo_ms: int = 0  # 99th percentile of latency that accepted requests should meet; 0: no limit; -1: by the speed
    queue_size: int = 0  # requests that may wait for a model; 0: what it answers in slo_ms / 2, or 256
    timeout_ms: int = 0  # a request that has waited this long is refused; 0: slo_ms / 2, or never without a set slo_ms
    priorities: bool = False  # requests with priority 1 (interactive, the default) overtake those with 2 (bulk)
    calibrate: bool = True  # measure a few calls of each variant's engine when it is published
    token_budget: int = 0  # padded tokens per micro-batch; 0: calibrated
    call_tokens: int = -1  # fixed cost of a call, in tokens; -1: calibrated
    threads: int = 0  # of the engine, divided among the instances; 0: calibrated, otherwise all cores
    instances: int = 1  # processes of each encoder
    portable_instances: int = 2  # of each encoder in the portable configuration, one thread each
    portable_tokens: int = 32_768  # rows times max_length in one execution of the portable configuration
    packed: bool = False  # also publish graphs that take requests of different lengths in one batch, for C++ engines
    calls: int = 0  # concurrent calls of the engine, one thread each, for several micro-batches; 0: calibrated

    def __post_init__(self) -> None:
        faults = Faults()
        for name in ("instances", "portable_instances"):
            if not 1 <= getattr(self, name) <= MAX_INSTANCES:
                faults.lines.append(f"serving.{name} is {getattr(self, name)}; it must be from 1 to {MAX_INSTANCES}")
        if not 0 <= self.calls <= MAX_INSTANCES:
            faults.lines.append(f"serving.calls is {self.calls}; it must be from 0 (calibrated) to {MAX_INSTANCES}")
        for name in ("slo_ms", "queue_size", "timeout_ms", "token_budget", "call_tokens", "threads", "portable_tokens"):
            minimum = {"slo_ms": -1, "call_tokens": -1, "portable_tokens": 1}.get(name, 0)
            if not minimum <= getattr(self, name) < 10**7:
                faults.lines.append(f"serving.{name} is {getattr(self, name)}; it must be at least {minimum}")
        faults.check()

    @property
    def configures_queues(self) -> bool:
        """Whether Triton's own queues are bounded or ordered, in every configuration."""
        return bool(self.queue_size or self.timeout_ms or self.priorities)

    def with_slo(self, rate: float) -> ServingConfig:
        """With an SLO, where none is set: the time for SLO_TEXTS texts. Queues that are configured have no derived one.

        rate: measured speed of the encoder in texts per second; 0: not measured.
        """
        if self.slo_ms >= 0 or self.configures_queues:
            return self
        slo = min(max(MIN_SLO, round(1000 * SLO_TEXTS / rate, -2)), MAX_SLO) if rate else UNMEASURED_SLO
        return replace(self, slo_ms=int(slo))

    def queue_limits(self, rate: float) -> tuple[int, int]:
        """(requests that may wait for a model, milliseconds that each may wait).

        rate: measured speed of the encoder in texts per second; 0: not measured.
        """
        timeout = self.timeout_ms or max(0, self.slo_ms) // 2
        answered = max(MIN_QUEUE_SIZE, int(rate * timeout / 1000)) if rate and self.slo_ms > 0 else QUEUE_SIZE
        return self.queue_size or min(answered, 16 * QUEUE_SIZE), timeout or NO_TIMEOUT
