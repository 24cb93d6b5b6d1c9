"""How Triton runs a task's models under load: the table [tasks.X.serving], written into their configurations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .errors import ConfigError

QUEUE_SIZE = 256  # where other bounds are asked for, not this one, and the speed is not known
LEAST_QUEUE = 32
NO_TIMEOUT = 3_600_000  # ms, an hour: Triton heeds a request's own timeout only where the configuration's is longer
ROWS = 32  # of an execution while more wait: what is accepted late must not wait for a batch of all that wait
INTERACTIVE, BULK = 1, 2  # `priority` of a request; one that names none is interactive
MOST_INSTANCES = 256
TOKENIZER, WHOLE_TASK = "ernie_tokenizer", "ernie_pipeline"  # backends
UNBOUNDED = ("ernie_postprocess",)  # backends whose queue is not bounded: the encoder's work would be lost
SLO = "slo_ms"  # parameter of Python models, which refuse by themselves: ernie_runtime/admission.py
REPORTS_TO = "reports_to"  # parameter of an encoder: the tokenizer that refuses in its stead
CHEAP = (TOKENIZER, *UNBOUNDED)  # backends that need no bound on an execution's rows


@dataclass(frozen=True)
class ServingConfig:
    """Bounds on waiting, and how the engine stand-ins cut micro-batches where calibration shall not decide."""

    slo_ms: int = 0  # latency that accepted requests should keep (99th percentile); 0: requests may wait
    queue_size: int = 0  # requests that may wait for a model; 0: what it does in slo_ms / 2
    timeout_ms: int = 0  # a request that waited so long for a model is refused; 0: slo_ms / 2, without slo_ms never
    priorities: bool = False  # requests with priority 1 (interactive, the default) overtake those with 2 (bulk)
    calibrate: bool = True  # measure a few calls of each variant's engine when it is published
    token_budget: int = 0  # padded tokens in a micro-batch; 0: calibrated
    call_tokens: int = -1  # what a call costs besides its tokens, in tokens; -1: calibrated
    threads: int = 0  # of the engine; 0: calibrated, else all cores; of several instances each has its part
    instances: int = 1  # processes of each encoder
    calls: int = 0  # of the engine at once, a thread each, where an execution has several micro-batches; 0: calibrated

    def __post_init__(self) -> None:
        if self.instances < 1 or self.instances > MOST_INSTANCES:
            raise ConfigError(f"serving.instances is {self.instances}; it must be from 1 to {MOST_INSTANCES}")
        if not 0 <= self.calls <= MOST_INSTANCES:
            raise ConfigError(f"serving.calls is {self.calls}; it must be from 0 (calibrated) to {MOST_INSTANCES}")
        for name in ("slo_ms", "queue_size", "timeout_ms", "token_budget", "call_tokens", "threads"):
            least = -1 if name == "call_tokens" else 0
            if not least <= getattr(self, name) < 10**7:
                raise ConfigError(f"serving.{name} is {getattr(self, name)}; it must be at least {least}")

    @property
    def queued(self) -> bool:
        """Whether Triton's own queues are to be bounded or ordered, in every configuration."""
        return bool(self.queue_size or self.timeout_ms or self.priorities)

    def waiting(self, rate: float) -> tuple[int, int]:
        """How many requests may wait for a model, and how many milliseconds.

        rate: texts a second that the encoder was measured at, 0 where it was not.
        """
        timeout = self.timeout_ms or self.slo_ms // 2
        likely = max(LEAST_QUEUE, int(rate * timeout / 1000)) if rate and self.slo_ms else QUEUE_SIZE
        return self.queue_size or min(likely, 16 * QUEUE_SIZE), timeout or NO_TIMEOUT


def set_instances(config: Any, serving: ServingConfig) -> None:
    """Say how many instances an encoder has: where nothing is said, Triton starts two of `onnxruntime` on a CPU, which
    share the cores, double the memory and halve the batches."""
    if config.platform == "ensemble" or config.backend in CHEAP:
        return
    if not config.instance_group:
        config.instance_group.add()  # on a GPU where there is one
    config.instance_group[0].count = serving.instances


def bound_queues(
    config: Any, serving: ServingConfig, rate: float = 0.0, stand_in: bool = False, tokenizer: str = ""
) -> None:
    """Put the task's bounds into a ModelConfig that has a dynamic batcher; others (ensembles) are left alone.

    stand_in: the configuration is of the Python engines. With an SLO alone these refuse by themselves (`shed`),
    and Triton's queues stay as they are: with a queue policy of any kind Triton 2.51 fetches no batch while one is at
    work, now and then sleeps for half a second though requests wait, and after an overload may stay slow
    (triton-inference-server/server#8870). Else, past a bound, a request is refused with UNAVAILABLE, through the
    ensemble too, which hands priority and timeout of its request to its steps; a client may ask for a shorter timeout
    than the configuration's. tokenizer: model name of the task's.
    """
    if not config.HasField("dynamic_batching"):
        return
    if stand_in and serving.slo_ms:
        shed(config, serving, tokenizer)
    if not serving.queued and (stand_in or not serving.slo_ms):
        return
    batching = config.dynamic_batching
    if serving.priorities:
        batching.priority_levels, batching.default_priority_level = BULK, INTERACTIVE
    if (serving.slo_ms or serving.timeout_ms or serving.priorities) and config.backend not in CHEAP:
        batching.preferred_batch_size.append(ROWS)
    if config.backend in UNBOUNDED:
        return
    size, timeout = serving.waiting(rate)
    policies = [batching.default_queue_policy]
    if serving.priorities:
        policies.append(batching.priority_queue_policy[BULK])
    for policy, milliseconds in zip(policies, (timeout, NO_TIMEOUT), strict=False):  # bulk work may wait its turn
        policy.max_queue_size = size
        policy.timeout_action = policy.REJECT
        policy.default_timeout_microseconds = 1000 * milliseconds
        policy.allow_timeout_override = True


def shed(config: Any, serving: ServingConfig, tokenizer: str) -> None:
    """Parameters by which a Python model refuses what cannot be answered within `slo_ms`.

    Of an ensemble it is the tokenizer, by what its encoders tell it. Where Triton's queues are bounded or ordered too,
    the encoders do it: the tokenizer cannot tell interactive requests from bulk ones.
    """
    early = bool(tokenizer) and not serving.queued
    if config.backend in UNBOUNDED or (config.backend == TOKENIZER and not early):
        return
    config.parameters[SLO].string_value = str(serving.slo_ms)
    if early and config.backend not in (TOKENIZER, WHOLE_TASK):
        config.parameters[REPORTS_TO].string_value = tokenizer
