"""Measure a served repository: `python perf/sweep.py`, or `ernie-triton perf sweep`."""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from ernie_builders.console import say
from ernie_builders.errors import BuildError
from ernie_perf.errors import PerfError
from ernie_perf.machine import machine, repository_name, versions
from ernie_perf.sweep.load import Analyzer
from ernie_perf.sweep.options import check, parser, settings_of
from ernie_perf.sweep.records import SCHEMA, Recorder
from ernie_perf.sweep.rounds import Sweep, prepare
from ernie_perf.sweep.subjects import Subject, find_subjects
from ernie_perf.sweep.target import Target
from ernie_runtime.errors import ErnieError
from ernie_runtime.names import variant_ensemble
from ernie_serve import ServeError, ServerOptions, TritonServer, perf_analyzer


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: 0 all measured, 1 a fault or a measurement that failed, 2 usage, 130 interrupted."""
    arguments = parser()
    args = arguments.parse_args(argv)
    check(arguments, args)
    try:
        return sweep(args)
    except (PerfError, BuildError, ErnieError, ServeError) as error:
        sys.stderr.write(f"ernie-triton perf sweep: {error}\n")
    except OSError as error:
        sys.stderr.write(f"ernie-triton perf sweep: {error.filename or 'output'}: {error.strerror}\n")
    except KeyboardInterrupt:
        sys.stderr.write("\nernie-triton perf sweep: interrupted; what is measured is kept, the same command goes on\n")
        return 130
    return 1


def sweep(args: argparse.Namespace) -> int:
    """Do what the command line asks for."""
    began, settings = time.monotonic(), settings_of(args)
    analyzer = Analyzer(*perf_analyzer.locate()) if settings.loads else None
    texts = {name: Path(file) for name, _, file in (text.partition("=") for text in args.texts)}
    subjects = find_subjects(
        args.repository, args.tasks, args.variants, args.tasks_file, texts, args.data_dir, settings.limit
    )
    about: dict[str, Any] = {
        "schema": SCHEMA,
        "settings": {"repository": repository_name(args.repository), **settings.to_json()},
        "tasks": {subject.manifest.task: subject.describe() for subject in subjects},
        "machine": machine(),
        "versions": {**versions(), **({"perf_analyzer": analyzer.version()} if analyzer else {})},
    }
    folder = args.output or Path("build", "perf", _key(about))
    with ExitStack() as stack:
        target = _target(stack, args, subjects) if settings.loads else None
        if target is not None:
            about["server"] = target.server()
        say(f"{folder}: {', '.join(subject.manifest.task for subject in subjects)}")
        prepared = prepare(stack, args.repository, subjects, target)
        about["checked"] = {model: one.expected.describe() for model, one in prepared.items() if one.expected}
        recorder = Recorder(folder, about)
        work = Sweep(settings, recorder, analyzer, target, prepared, began)
        work.run()
    say(work.summary())
    return 1 if work.failed else 0


def _key(about: dict[str, Any]) -> str:
    """The same command finds its folder again."""
    asked = json.dumps([about["settings"], about["tasks"]], sort_keys=True)
    return hashlib.sha256(asked.encode()).hexdigest()[:12]


def _target(stack: ExitStack, args: argparse.Namespace, subjects: Sequence[Subject]) -> Target:
    """The server of --url; else one of our own with the models that are measured and no others."""
    if args.url:
        return Target(args.url, args.http_url, args.metrics_url)
    models = [variant_ensemble(s.manifest.task, v.name) for s in subjects for v in s.variants]
    options = ServerOptions(
        args.repository,
        http_port=0,
        grpc_port=0,
        metrics_port=0,
        config_name=args.config_name or None,
        extra=("--model-control-mode=explicit", *(f"--load-model={model}" for model in models)),
        log_file=None,
    )
    say(f"starting the server with {len(models)} ensembles")
    server = stack.enter_context(TritonServer(options))
    return Target(server.grpc_address, server.http_address, server.metrics_address, server.pid)


if __name__ == "__main__":
    sys.exit(main())
