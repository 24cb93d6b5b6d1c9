"""How Triton runs a task's models under load: the table [tasks.X.serving], written into their configurations."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import ConfigError

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
