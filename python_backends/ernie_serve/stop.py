"""The command ``ernie-triton stop``."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from ernie_runtime.command_line import CommandLine, json_output
from ernie_serve import detached
from ernie_serve.command import port_number
from ernie_serve.problems import ServeError


def main(argv: Sequence[str] | None = None) -> int:
    """``ernie-triton stop``: 0 when the server has ended, 1 when there is none, 2 for wrong usage."""
    command = CommandLine(prog="ernie-triton stop", description="Stop a server started with serve --detach.")
    command.add_argument("--http-port", type=port_number, help="of the server; needed only when several run")
    command.add_argument("--json", action="store_true", help="print one object: which server, and whether it drained")
    try:
        parsed = command.parse_args(argv)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        record = detached.find(parsed.http_port)
        drained = record.stop()
    except ServeError as error:
        sys.stderr.write(f"ernie-triton stop: {error}\n")
        return 1
    with json_output(parsed.json) as report:
        lost = "" if drained else "; requests in flight were lost"
        sys.stdout.write(f"stopped the server on HTTP port {record.http_port}{lost}\n")
        report({"http_port": record.http_port, "pid": record.pid, "drained": drained})
    return 0
