"""What happened between two readings of the metrics, by task and step."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from ernie_runtime.names import encoder_prefix, postprocess_model, tokenizer_model

from .samples import (
    COMPUTE_US,
    CPU,
    EXECUTIONS,
    FAILURES,
    MEMORY,
    MEMORY_TOTAL,
    PADDING_TOKENS,
    PENDING,
    QUEUE_US,
    REAL_TOKENS,
    REFUSED,
    REQUESTS,
    TEXTS,
    TOTAL_US,
    Sample,
)

_VERSION = re.compile(r"\.v\d+(-\d+)?$")
"""What `ernie-triton reload` appends to the names of steps."""


@dataclass(frozen=True, kw_only=True)
class ModelRates:
    """One model in an interval. Times are means in milliseconds per request; None where there was no request."""

    model: str
    is_step: bool
    """Whether it is a step of the task above it rather than what clients ask."""
    requests_per_second: float
    texts_per_second: float
    """Rows: texts of an ensemble or a tokenizer, windows of an encoder and a postprocessor."""
    rows_per_execution: float | None
    queue_ms: float | None
    compute_ms: float | None
    total_ms: float | None
    waiting: int
    refused_per_second: float
    failed_per_second: float
    padding: float | None
    """Padding tokens as a share of the real ones, of encoders that count them."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing happened."""
        return not (self.requests_per_second or self.refused_per_second or self.failed_per_second or self.waiting)


@dataclass(frozen=True, kw_only=True)
class ServerRates:
    """All models in an interval, each task followed by its steps, and the machine. cpu: 0 to 1; memory in bytes."""

    seconds: float
    models: list[ModelRates]
    cpu: float | None
    memory: float | None
    memory_total: float | None


def between(before: Sample, after: Sample) -> ServerRates:
    """The rates from `before` to `after`. A server that was started in between begins at 0."""
    seconds = max(after.seconds - before.seconds, 1e-9)
    owners = owner_by_model(after.models)
    order = sorted(after.models, key=lambda name: (owners.get(name, name), _place(name, owners)))
    return ServerRates(
        seconds=seconds,
        models=[
            _model(name, before.models.get(name, {}), after.models[name], seconds, _place(name, owners)[0] > 0)
            for name in order
        ],
        cpu=after.machine.get(CPU),
        memory=after.machine.get(MEMORY),
        memory_total=after.machine.get(MEMORY_TOTAL),
    )


def owner_by_model(models: Iterable[str]) -> dict[str, str]:
    """The task of each model that is one, a variant or a step of it; others (`--compat`'s) are left out."""
    names = set(models)
    tasks = sorted((name for name in names if any(is_step(model, name) for model in names)), key=len)
    return {name: task for task in tasks for name in names if name == task or name.startswith(f"{task}_")}


def is_step(model: str, task: str) -> bool:
    """Whether a model is a step of this task."""
    plain = _VERSION.sub("", model)
    return plain in (tokenizer_model(task), postprocess_model(task)) or model.startswith(encoder_prefix(task))


def _place(model: str, owners: dict[str, str]) -> tuple[int, str]:
    """Where a model stands among those of its task: what clients ask, then the steps in the order of a request."""
    task, plain = owners.get(model, model), _VERSION.sub("", model)
    if plain == tokenizer_model(task):
        return 1, model
    if model.startswith(encoder_prefix(task)):
        return 2, model
    return (3 if plain == postprocess_model(task) or plain != model else 0), model


def _model(name: str, before: dict[str, float], after: dict[str, float], seconds: float, is_step: bool) -> ModelRates:
    restarted = any(after.get(counter, 0) < before.get(counter, 0) for counter in (REQUESTS, TEXTS, TOTAL_US))
    start = {} if restarted else before

    def grown(*counters: str) -> float:
        return sum(max(after.get(counter, 0) - start.get(counter, 0), 0) for counter in counters)

    requests, texts, executions = grown(REQUESTS), grown(TEXTS), grown(EXECUTIONS)
    tokens = grown(REAL_TOKENS)

    def per_request(*counters: str) -> float | None:
        return grown(*counters) / requests / 1000 if requests else None

    return ModelRates(
        model=name,
        is_step=is_step,
        requests_per_second=requests / seconds,
        texts_per_second=texts / seconds,
        rows_per_execution=texts / executions if executions else None,
        queue_ms=per_request(QUEUE_US),
        compute_ms=per_request(*COMPUTE_US),
        total_ms=per_request(TOTAL_US),
        waiting=int(after.get(PENDING, 0)),
        refused_per_second=grown(REFUSED) / seconds,
        failed_per_second=grown(FAILURES) / seconds,
        padding=grown(PADDING_TOKENS) / tokens if tokens else None,
    )
