"""Queues, priorities and instances: a task's [tasks.X.serving] table written into Triton model configurations."""

from __future__ import annotations

from tritonclient.grpc import model_config_pb2 as pb

from ..config.serving import (
    BULK,
    CHEAP,
    INTERACTIVE,
    MAX_ROWS,
    NO_TIMEOUT,
    SLO,
    UNBOUNDED,
    WHOLE_TASK,
    ServingConfig,
)


def set_instances(config: pb.ModelConfig, serving: ServingConfig, portable: bool = False) -> None:
    """Write the number of instances of an encoder.

    Without it Triton starts two of `onnxruntime` on a CPU, with a pool of threads for all cores each. portable: the
    configuration is for a C++ engine, of which each instance has one thread; a process of Python has all.
    """
    if config.platform == "ensemble" or config.backend in CHEAP:
        return
    if not config.instance_group:
        config.instance_group.add()  # without a kind: on a GPU if there is one
    config.instance_group[0].count = serving.portable_instances if portable else serving.instances


def bound_queues(config: pb.ModelConfig, serving: ServingConfig, rate: float = 0.0) -> None:
    """Write the task's bounds on waiting into the configuration of a model with a dynamic batcher (not an ensemble).

    rate: measured speed of the encoder in texts/s, 0 if unknown.

    Past a bound a request is refused with UNAVAILABLE, through the ensemble too: it passes the priority and timeout of
    its request on to its steps. A client may ask for a shorter timeout than the configuration's.

    With only an SLO (set, or derived by `ServingConfig.with_slo`), a whole task in one process refuses requests itself
    and Triton's queues are left alone: with any queue policy, Triton 2.51 fetches no batch while another is running,
    sometimes sleeps for 0.5 s while requests wait, and may stay slow after an overload
    (triton-inference-server/server#8870).
    """
    if not config.HasField("dynamic_batching"):
        return
    if config.backend == WHOLE_TASK:  # a C++ engine runs elsewhere: its speed is unknown, and no SLO follows from it
        serving = serving.with_slo(rate)
        if serving.slo_ms > 0:
            config.parameters[SLO].string_value = str(serving.slo_ms)
    if not serving.configures_queues and (config.backend == WHOLE_TASK or serving.slo_ms <= 0):
        return
    batching = config.dynamic_batching
    if serving.priorities:
        batching.priority_levels, batching.default_priority_level = BULK, INTERACTIVE
    if (serving.slo_ms > 0 or serving.timeout_ms or serving.priorities) and config.backend not in CHEAP:
        batching.preferred_batch_size.append(MAX_ROWS)
    if config.backend in UNBOUNDED:
        return
    size, timeout = serving.queue_limits(rate)
    policies = [batching.default_queue_policy]
    if serving.priorities:
        policies.append(batching.priority_queue_policy[BULK])
    for policy, milliseconds in zip(policies, (timeout, NO_TIMEOUT), strict=False):  # bulk requests may wait
        policy.max_queue_size = size
        policy.timeout_action = policy.REJECT
        policy.default_timeout_microseconds = 1000 * milliseconds
        policy.allow_timeout_override = True
