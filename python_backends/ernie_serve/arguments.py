"""The command line of one tritonserver."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from ernie_serve import cache, tracing
from ernie_serve.options import ServerOptions

RESTRICTED = ("shared-memory", "trace", "logging")
"""Groups of Triton's APIs that no caller needs, and that can take its memory or its files."""
ALL_APIS = (*RESTRICTED, "health", "metadata", "inference", "model-config", "statistics", "model-repository")
STUB_TIMEOUT_SECONDS = 120
"""Triton's own 30 s is short for a dozen models that import their libraries at once on two cores."""


def arguments(
    options: ServerOptions, *, name: str, key: tuple[str, str], models: Sequence[str], repository: Path, backends: Path
) -> list[str]:
    """All arguments of tritonserver.

    name: begins the names of its shared memory. key: header and value that open the restricted APIs. models: loaded at
    the start, unless the caller loads them. repository, backends: folders that tritonserver can reach.
    """
    given = [f"--id={name}", f"--model-repository={repository}", f"--backend-directory={backends}"]
    for use, port in options.ports.items():
        given += [f"--{use}-address={options.host}", f"--{use}-port={port}"]
    given += [f"--backend-config=python,shm-region-prefix-name={name}-"]
    given += [f"--backend-config=python,stub-timeout-seconds={STUB_TIMEOUT_SECONDS}"]
    given += [f"--exit-timeout-secs={options.drain_seconds}"]
    if options.cache:
        given.append(cache.argument(options.cache))
    given += _restrictions(options, key, models)
    if options.trace:
        given += tracing.arguments(options.trace, options.trace_every)
    if options.config_name:
        given.append(f"--model-config-name={options.config_name}")
    if not options.auto_complete:
        given.append("--disable-auto-complete-config")
    return [*given, *options.extra]


def _restrictions(options: ServerOptions, key: tuple[str, str], models: Sequence[str]) -> list[str]:
    """Options that say which models are loaded, and keep all but this process from what no caller needs."""
    closed, given = list[str](), list[str]()
    if options.supervised:
        closed += ALL_APIS if options.private else RESTRICTED
    if not options.is_explicit:
        closed = [*(name for name in closed if name != "model-repository"), "model-repository"]
        given = ["--model-control-mode=explicit", *(f"--load-model={name}" for name in models)]
    if not closed:
        return given
    header, value = key
    groups = ",".join(closed)
    return [
        *given,
        f"--http-restricted-api={groups}:{header}={value}",
        f"--grpc-restricted-protocol={groups}:{header}={value}",
    ]
