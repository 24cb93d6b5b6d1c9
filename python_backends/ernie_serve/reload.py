"""The command ``ernie-triton reload``: a running server serves the newest versions of tasks, without a gap."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from ernie_runtime.command_line import CommandLine, json_output
from ernie_serve import control
from ernie_serve.problems import ServeError


def main(argv: Sequence[str] | None = None) -> int:
    """0 when all tasks are served as the repository has them, 1 when one is not, 2 for wrong usage."""
    command = CommandLine(
        prog="ernie-triton reload",
        description="Let a running server serve what its repository has by now: a new version, or the one before.",
        epilog="The old version answers until the new one has given the answers that the builder recorded.",
    )
    command.add_argument("tasks", nargs="+", metavar="TASK", help="name of a task")
    command.add_argument("--repository", type=Path, help="take the server of this repository (default: the only one)")
    command.add_argument("--http-port", type=int, help="take the server on this port; needed where several run")
    command.add_argument("--json", action="store_true", help="print one object: what was done, by task")
    try:
        parsed: argparse.Namespace = command.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    faults, done = [], {}
    try:
        with json_output(parsed.json) as report:
            port = control.find(parsed.http_port, parsed.repository)
            for task in dict.fromkeys(parsed.tasks):
                try:
                    update = control.reload(port, task, lambda line: print(f"  {line}", flush=True))
                except ServeError as error:
                    faults.append(str(error))
                    continue
                print(update.pop("line"), flush=True)
                done[task] = update
            report(done)
    except ServeError as error:
        faults.append(str(error))
    for fault in faults:
        sys.stderr.write(f"ernie-triton reload: {fault}\n")
    return 1 if faults else 0
