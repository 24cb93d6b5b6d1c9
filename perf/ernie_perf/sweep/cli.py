"""Measure a served repository: `ernie-triton perf sweep`, or `python perf/sweep.py` in a checkout."""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from ernie_builders.console import say
from ernie_perf.command import run_command
from ernie_perf.machine import describe_machine, serving_versions
from ernie_perf.sweep.analyzer import Analyzer
from ernie_perf.sweep.description import RunDescription
from ernie_perf.sweep.options import parse
from ernie_perf.sweep.rounds import Sweep, prepare
from ernie_perf.sweep.run import Recorder
from ernie_perf.sweep.settings import SweepRequest
from ernie_perf.sweep.target import Target
from ernie_perf.sweep.tasks import MeasuredTask, select_tasks
from ernie_runtime.command_line import json_output
from ernie_runtime.names import variant_ensemble
from ernie_serve import ServerOptions, TritonServer, perf_analyzer

RUNS = Path("build", "perf")


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all measured, 1 an error or a measurement that failed, 2 usage, 130 interrupted."""
    request = parse(argv)
    with json_output(request.json) as report:
        return run_command(
            "ernie-triton perf sweep",
            lambda: sweep(request, report),
            when_interrupted="interrupted; all finished measurements are kept, run the same command to resume",
        )


def sweep(request: SweepRequest, report: Callable[[object], None] = lambda document: None) -> int:
    """Measure what is not measured yet; 1 where a measurement failed. Errors: PerfError, ErnieError, ServeError.

    report: prints where the run is, and what failed, as JSON.
    """
    started_at, settings, repository = time.monotonic(), request.settings, request.selection.repository
    analyzer = Analyzer(*perf_analyzer.locate()) if settings.loads else None
    tasks = select_tasks(request.selection)
    description = RunDescription(
        settings=settings,
        tasks={task.name: task.describe() for task in tasks},
        machine=describe_machine(),
        versions={**serving_versions(), **({"perf_analyzer": analyzer.version()} if analyzer else {})},
    )
    folder = request.output or RUNS / _key(description)
    with ExitStack() as stack:
        target = _target(stack, request, tasks) if settings.loads else None
        say(f"{folder}: {', '.join(task.name for task in tasks)}")
        variants = prepare(stack, repository, tasks, target)
        description = replace(
            description,
            server=target.describe() if target is not None else None,
            computed_in={v.model: v.served.precision for v in variants if v.served is not None and v.served.precision},
            checked={v.model: v.served.expected.describe() for v in variants if v.served is not None},
        )
        work = Sweep(
            settings=settings,
            recorder=Recorder(folder, description),
            analyzer=analyzer,
            target=target,
            variants=variants,
            started_at=started_at,
        )
        work.run()
    say(work.summary())
    report(work.to_json())
    return 1 if work.failures else 0


def _key(description: RunDescription) -> str:
    """12 hex digits of the settings and tasks, so that the same command finds its folder again."""
    document = description.to_json()
    key = json.dumps([document["settings"], document["tasks"]], sort_keys=True)
    return hashlib.sha256(key.encode()).hexdigest()[:12]


def _target(stack: ExitStack, request: SweepRequest, tasks: Sequence[MeasuredTask]) -> Target:
    """The running server that was given; else one started here, with the models that are measured and no others."""
    if (server := request.server) is not None:
        return Target(grpc=server.grpc, http=server.http, metrics=server.metrics)
    models = [variant_ensemble(task.name, variant.name) for task in tasks for variant in task.variants]
    options = ServerOptions(
        repository=request.selection.repository,
        http_port=0,
        grpc_port=0,
        metrics_port=0,
        config_name=request.settings.config_name or None,
        extra=("--model-control-mode=explicit", *(f"--load-model={model}" for model in models)),
        log_file=None,
        bounded=False,
    )
    say(f"starting the server with {len(models)} ensembles")
    started = stack.enter_context(TritonServer(options))
    return Target(
        grpc=started.grpc_address, http=started.http_address, metrics=started.metrics_address, pid=started.pid
    )


if __name__ == "__main__":
    sys.exit(main())
