"""The command ``ernie-triton models``: which models make up a task, and whether a server has loaded all of them.

Whoever loads models himself (``--model-control-mode=explicit``) gets the steps of an ensemble with it, but no other
ensemble: `tnews` leaves `tnews_fp32` behind. Whoever copies a task must copy all of its folders.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ernie_runtime.command_line import CommandLine, did_you_mean, json_output
from ernie_serve import problems
from ernie_serve.health import Health
from ernie_serve.problems import ServeError
from ernie_serve.view import TaskModels, View


def main(argv: Sequence[str] | None = None) -> int:
    """0 where all is told, and loaded where that was asked; 1 where it is not, 2 for wrong usage."""
    command = CommandLine(
        prog="ernie-triton models",
        description="Which models must be loaded together for a task, and which folders lie together.",
        epilog="The steps of an ensemble are loaded with it, other ensembles of the task are not.",
    )
    command.add_argument("tasks", nargs="*", metavar="TASK", help="name of a task (default: all)")
    command.add_argument("--repository", type=Path, default=Path("model_repository"), help="default: %(default)s")
    command.add_argument("--check", action="store_true", help="ask a server whether it has loaded them")
    command.add_argument(
        "--http-url", type=_address, default="127.0.0.1:8000", metavar="HOST:PORT", help="its HTTP port"
    )
    command.add_argument("--json", action="store_true", help="print one object: the models by task")
    try:
        parsed: argparse.Namespace = command.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with json_output(parsed.json) as report:
            tasks = _chosen(parsed.repository, parsed.tasks)
            health: Health = parsed.http_url
            faults = [fault for task in tasks for fault in _faults(health, task)] if parsed.check else []
            for task in tasks:
                _print(task)
            if parsed.check and not faults:
                print(f"all are loaded at {health.address}")
            report({task.task: _to_json(task) for task in tasks})
    except ServeError as error:
        faults = [str(error)]
    for fault in faults:
        sys.stderr.write(f"ernie-triton models: {fault}\n")
    return 1 if faults else 0


def asked(task: TaskModels) -> list[str]:
    """The models to load, which clients ask."""
    return sorted(task.ensembles)


def _chosen(repository: Path, names: Sequence[str]) -> list[TaskModels]:
    problems.check_repository(repository)
    tasks = View(repository, repository, None).available()  # portable: there each step has a folder
    for name in names:
        if name not in tasks:
            raise ServeError(
                f"no task {name} in {repository}{did_you_mean(name, tasks)}; `ernie-triton models` lists them"
            )
    return [tasks[name] for name in dict.fromkeys(names or sorted(tasks))]


def _faults(health: Health, task: TaskModels) -> list[str]:
    """What is not loaded, or in another version than the repository's newest; a line each."""
    if not health.live():
        raise ServeError(f"nothing answers at {health.address}, or its APIs want a key (serve --production)")
    faults: dict[str, str] = {}
    for model in asked(task):
        steps = health.config(model).get("ensemble_scheduling", {}).get("step", [])
        for name in dict.fromkeys((model, *(step["model_name"] for step in steps))):
            if not health.has(name):
                faults.setdefault(name, f"{name} is not loaded: load {model}")
            elif not health.has(name, task.version):
                line = f"{name} is loaded, but not version {task.version}, the newest: load {model} again"
                faults.setdefault(name, line)
    return list(faults.values())


def _print(task: TaskModels) -> None:
    print(f"{task.task}, version {task.version}")
    print("  load     " + " ".join(f"--load-model={model}" for model in asked(task)))
    print("  folders  " + " ".join(_folders(task)))


def _folders(task: TaskModels) -> list[str]:
    return sorted((*asked(task), *task.steps))


def _to_json(task: TaskModels) -> dict[str, object]:
    return {"version": task.version, "load": asked(task), "folders": _folders(task)}


def _address(text: str) -> Health:
    host, colon, port = text.removeprefix("http://").rstrip("/").rpartition(":")
    if not (colon and host and port.isdecimal() and 0 < int(port) <= 65535):
        raise argparse.ArgumentTypeError(f"{text} is not HOST:PORT of a server's HTTP port, such as 127.0.0.1:8000")
    return Health(host.strip("[]"), int(port))
