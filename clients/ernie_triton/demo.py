"""`make demo`, `ernie-triton demo`: build, serve, ask real texts, and leave the server running."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.command_line import CommandLine, json_output
from ernie_runtime.json_types import JsonObject
from ernie_runtime.names import MANIFEST_FILE, tokenizer_model, tokenizer_task

from . import cli
from .client import Client
from .errors import ErnieTritonError
from .formatting import result_lines
from .tasks import Task


@dataclass(frozen=True, kw_only=True)
class DemoArguments:
    """The command line of `demo`, as parsed."""

    http_port: int
    grpc_port: int
    metrics_port: int
    repository: Path
    json: bool = False

    @property
    def url(self) -> str:
        """The server's gRPC address."""
        return f"127.0.0.1:{self.grpc_port}"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    command_line = CommandLine(prog="ernie-triton demo", description=__doc__)
    command_line.add_argument("--http-port", type=int, default=8000, help="of HTTP")
    command_line.add_argument("--grpc-port", type=int, default=8001, help="of gRPC")
    command_line.add_argument("--metrics-port", type=int, default=8002, help="of the metrics")
    command_line.add_argument(
        "--repository", type=Path, default=Path("model_repository"), help="the model repository to write"
    )
    command_line.add_argument(
        "--json", action="store_true", help="print one object: the server, and what each task answers"
    )
    return command_line


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code: 0 when every task answered, else that of the step that failed."""
    try:
        arguments = DemoArguments(**vars(parser().parse_args(argv)))
    except SystemExit as stop:
        return int(stop.code or 0)
    with json_output(arguments.json) as report:
        return _demo(arguments, report)


def _demo(arguments: DemoArguments, report: Callable[[object], None]) -> int:
    started = time.monotonic()
    _say("1 of 3: build the tasks that ship")
    code = cli.main(["build", "--profile", "demo", "--repository", str(arguments.repository)])
    built = time.monotonic()
    if code == 0:
        _say("", "2 of 3: start the server")
        code = _serve(arguments)
    if code != 0:
        return code
    ready = time.monotonic()
    _say("", "3 of 3: ask it")
    try:
        with Client(arguments.url) as client:
            tasks = client.tasks()
            answers = {task.name: _ask(client, task) for task in tasks}
    except ErnieTritonError as error:
        sys.stderr.write(f"ernie-triton demo: {error}\n")
        return 1
    done = time.monotonic()
    _say(f"build {built - started:.0f} s, server {ready - built:.0f} s, answers {done - ready:.1f} s", "")
    _say("The server is left running. Next, try:", *_next_commands(tasks, arguments))
    report(
        {
            "url": arguments.url,
            "repository": str(arguments.repository),
            "seconds": {"build": built - started, "serve": ready - built, "ask": done - ready},
            "answers": answers,
        }
    )
    return 0


def _serve(arguments: DemoArguments) -> int:
    """Start the server in the background; a server that serves the same builds already is kept."""
    serving = _served_builds(arguments.url)
    if serving and serving == _published_builds(arguments.repository):
        _say(f"the server at {arguments.url} serves this repository already")
        return 0
    if serving:
        cli.main(["stop", "--http-port", str(arguments.http_port)])
    ports = [f"--{name}-port={getattr(arguments, f'{name}_port')}" for name in ("http", "grpc", "metrics")]
    return cli.main(["serve", "--repository", str(arguments.repository), *ports, "--detach"])


def _served_builds(url: str) -> dict[str, str]:
    try:
        with Client(url, timeout=5) as client:
            return {task.name: task.build for task in client.tasks()}
    except ErnieTritonError:
        return {}


def _published_builds(repository: Path) -> dict[str, str]:
    """The build of each task's newest version in the repository; Triton's versions are folders named by a number."""
    builds = {}
    for model in repository.glob(tokenizer_model("*")):
        versions = [int(path.name) for path in model.glob("[1-9]*") if path.name.isdigit()]
        manifest = model / str(max(versions, default=0)) / MANIFEST_FILE
        if manifest.is_file():
            made_by = json.loads(manifest.read_text("utf-8"))["made_by"]
            builds[tokenizer_task(model.name) or model.name] = made_by["build"]
    return builds


def _ask(client: Client, task: Task) -> list[JsonObject]:
    """Ask the task its examples and show the answers; the RESULT of each."""
    _say("", f"{task.name}: {task.title}")
    items = [texts[0] if len(texts) == 1 else texts for texts in task.examples]
    results = client.predict(task.name, items)
    for item, result in zip(items, results, strict=True):
        _say(*(f"  {line}" for line in result_lines(item, result, task)))
    return [{"texts": texts, "result": result.raw} for texts, result in zip(task.examples, results, strict=True)]


def _next_commands(tasks: Sequence[Task], arguments: DemoArguments) -> list[str]:
    url = "" if arguments.grpc_port == 8001 else f" --url {arguments.url}"
    command = Path(sys.executable).with_name("ernie-triton")
    command = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else Path(command.name)
    lines = [
        f"  {command} predict {task.name} {shlex.quote(chr(9).join(task.examples[0]))}{url}"
        for task in tasks
        if task.examples
    ]
    return [
        *lines,
        f"  {command} tasks{url}",
        f"  curl -s 127.0.0.1:{arguments.metrics_port}/metrics | grep nv_inference_count",
        f"  {command} stop --http-port {arguments.http_port}",
    ]


def _say(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines or ("",)))
    sys.stdout.flush()
