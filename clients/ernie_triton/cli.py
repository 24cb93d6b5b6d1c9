"""The command `ernie-triton`: imports the one package that does the work, by name."""

from __future__ import annotations

import errno
import importlib
import io
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass

from ernie_runtime.command_line import COMPLETING, CommandLine, did_you_mean
from ernie_runtime.install import PROJECT, install_hint

from .version import commit, version

INNER = {  # commands of commands
    "build": ("pretrain", "distill", "convert-encoder", "unpack-text"),
    "perf": ("sweep", "report", "compare", "plan", "overload", "growth", "gateway"),
}


@dataclass(frozen=True, kw_only=True)
class Verb:
    """A subcommand."""

    target: str
    """`module:function`, a function that takes the arguments and returns the exit code."""
    help: str
    extra: str
    """The extra of the project that brings `packages`."""
    packages: tuple[str, ...]
    """Names of top-level packages; the hint is shown where one of them is missing."""


_BUILD = (
    *("ernie_assets", "ernie_builders", "ernie_runtime", "google", "matplotlib", "numpy", "onnx", "onnxruntime"),
    *("paddle", "paddle2onnx", "paddlenlp", "safetensors", "scipy", "tokenizers", "tomli", "tqdm", "tritonclient"),
)
_SERVE = ("ernie_serve", "pytriton")
_CLIENT = ("google", "grpc", "numpy", "tritonclient")
VERBS = {
    "demo": Verb(
        target="ernie_triton.demo:main",
        help="build what ships, serve it and ask it real texts",
        extra="build",
        packages=(*_BUILD, "ernie_serve"),
    ),
    "init": Verb(
        target="ernie_builders.start.init:main",
        help="look at labelled text and write a tasks file that can be built",
        extra="build",
        packages=_BUILD,
    ),
    "publish": Verb(
        target="ernie_builders.start.publish:main",
        help="publish a fine-tuned checkpoint as it is: no tasks file, no training",
        extra="build",
        packages=_BUILD,
    ),
    "build": Verb(
        target="ernie_builders.build_all:main",
        help="train or take checkpoints, and publish a model repository",
        extra="build",
        packages=_BUILD,
    ),
    "lint": Verb(
        target="ernie_builders.lint.repository:main",
        help="check a model repository before it is served",
        extra="build",
        packages=_BUILD,
    ),
    "assets": Verb(
        target="ernie_builders.registry.cli:main",
        help="verify or list the weights that ship",
        extra="build",
        packages=_BUILD,
    ),
    "compare": Verb(
        target="ernie_builders.repository.compare:main",
        help="a task's variants side by side; recommend another, go back a version",
        extra="build",
        packages=_BUILD,
    ),
    "evaluate": Verb(
        target="ernie_builders.evaluation.cli:main",
        help="score a task on a labelled file, through a server or without",
        extra="build",
        packages=_BUILD,
    ),
    "perf": Verb(
        target="ernie_perf.cli:main",
        help="measure a repository with perf_analyzer; report, compare, plan",
        extra="perf",
        packages=(*_BUILD, *_SERVE, "ernie_perf"),
    ),
    "serve": Verb(
        target="ernie_serve.cli:main",
        help="serve a model repository",
        extra="serve",
        packages=_SERVE,
    ),
    "reload": Verb(
        target="ernie_serve.reload:main",
        help="let a running server serve what its repository has by now",
        extra="serve",
        packages=_SERVE,
    ),
    "models": Verb(
        target="ernie_serve.models:main",
        help="which models of a task must be loaded together, and whether a server has",
        extra="serve",
        packages=_SERVE,
    ),
    "stop": Verb(
        target="ernie_serve.stop:main",
        help="stop a server in the background",
        extra="serve",
        packages=_SERVE,
    ),
    "gateway": Verb(
        target="ernie_gateway.cli:main",
        help="JSON over HTTP for every task, and a page to try them on",
        extra="gateway",
        packages=(
            *_CLIENT,
            "ernie_gateway",
            "httptools",
            "orjson",
            "prometheus_client",
            "starlette",
            "uvicorn",
            "uvloop",
        ),
    ),
    "top": Verb(
        target="ernie_triton.monitor.top:main",
        help="a live view of what a server does: rates, latency by step, batches, refusals",
        extra="monitor",
        packages=("prometheus_client", "rich"),
    ),
    "predict": Verb(
        target="ernie_triton.batch.cli:predict_main",
        help="ask a task about texts or a file of them",
        extra="client",
        packages=_CLIENT,
    ),
    "tasks": Verb(
        target="ernie_triton.batch.cli:tasks_main",
        help="list the tasks of a running server",
        extra="client",
        packages=_CLIENT,
    ),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: those of the verb; 1 when its package is missing, 2 for wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    sys.unraisablehook = _deliver_interrupt
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 shows escapes instead of failing
            stream.reconfigure(errors="backslashreplace")
    code = 0
    try:
        code = _dispatch(_words_to_complete() if COMPLETING in os.environ else words)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:  # the reader has closed the pipe
        _drop_output()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()
        if not code:  # else the verb has reported it
            sys.stderr.write(f"{PROJECT}: cannot write {error.filename or 'the output'}: {error.strerror}\n")
        return code or 1


def _words_to_complete() -> list[str]:
    """The words of a command line for which a shell asks completions: of commands here, of options by the command."""
    words = os.environ["COMP_LINE"][: int(os.environ["COMP_POINT"])].split(" ")
    for length in (3, 2):  # `perf sweep` and `build pretrain`, then `build`
        if len(words) > length and words[1] in VERBS and (length == 2 or words[2] in INNER.get(words[1], ())):
            os.environ[COMPLETING] = str(length)
            return words[1:]
    commands = CommandLine(prog=PROJECT)
    commands.add_argument("command", choices=sorted(VERBS))
    commands.complete()
    return []


def _deliver_interrupt(unraisable: sys.UnraisableHookArgs) -> None:
    """Repeat a Ctrl-C that met a destructor (gRPC's calls have some), where Python drops every exception."""
    if unraisable.exc_type is KeyboardInterrupt:  # later, as it would be dropped here too
        main = threading.main_thread().ident or 0
        threading.Timer(0.01, signal.pthread_kill, (main, signal.SIGINT)).start()
    else:
        sys.__unraisablehook__(unraisable)


def _open_closed_streams() -> None:
    """Python has no stream for a closed descriptor, and a file opened later would take its number."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115


def _drop_output() -> None:
    """Throw away what is left in the buffer of standard output, so that it does not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        (sys.stdout if words else sys.stderr).write(usage())
        return 0 if words else 2
    name, arguments = words[0], words[1:]
    if name in ("-V", "--version"):
        built_from = f" ({revision})" if (revision := commit()) else ""
        sys.stdout.write(f"{PROJECT} {version()}{built_from}\n")
        return 0
    if name not in VERBS:
        hint = did_you_mean(name, VERBS) or f"; there are {', '.join(VERBS)}"
        sys.stderr.write(f"{PROJECT}: no command {name!r}{hint}\n")
        return 2
    return run(name, VERBS[name], arguments)


def run(name: str, verb: Verb, arguments: list[str]) -> int:
    """Import the verb's module and call its function."""
    module, _, function = verb.target.partition(":")
    try:
        code: int = getattr(importlib.import_module(module), function)(arguments)
        return code
    except ModuleNotFoundError as missing:
        package = (missing.name or "").partition(".")[0]
        if package not in verb.packages:
            raise
        sys.stderr.write(
            f"{PROJECT} {name}: Python package {missing.name!r} is missing; the extra {verb.extra!r} "
            f"brings it: {install_hint(verb.extra)}\n"
        )
        return 1
    except SystemExit as stop:  # argparse, and modules that say for themselves what is missing
        if isinstance(stop.code, str):
            sys.stderr.write(stop.code + "\n")
            return 1
        return stop.code or 0


def usage() -> str:
    """One line for each verb."""
    lines = [f"  {name:<9}{verb.help}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            f"usage: {PROJECT} COMMAND ...",
            "",
            *lines,
            "",
            f"{PROJECT} COMMAND --help describes one of them, {PROJECT} --version shows the version.",
            "",
        ]
    )


if __name__ == "__main__":
    sys.exit(main())
