"""Queues, priorities and instances: a task's [tasks.X.serving] table written into Triton model configurations."""

from __future__ import annotations

from typing import Any

from ..config.serving import (
    BULK,
    CHEAP,
    INTERACTIVE,
    NO_TIMEOUT,
    REPORTS_TO,
    ROWS,
    SLO,
    TOKENIZER,
    UNBOUNDED,
    WHOLE_TASK,
    ServingConfig,
)


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
