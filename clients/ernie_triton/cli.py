"""The command `ernie-triton`: finds the package that does the work by name, and imports no other."""

from __future__ import annotations

import difflib
import errno
import importlib
import io
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata

from ernie_runtime.install import PROJECT, install_hint


@dataclass(frozen=True)
class Verb:
    """A subcommand: `target` is module:function, which takes the arguments and returns the exit code."""

    target: str
    help: str
    extra: str  # of the project, which brings `packages`
    packages: tuple[str, ...]  # top-level names


_BUILD = (
    *(
        "ernie_builders",
        "ernie_runtime",
        "google",
        "numpy",
        "onnx",
        "onnxruntime",
        "paddle",
        "paddle2onnx",
        "paddlenlp",
    ),
    *("safetensors", "tokenizers", "tomli", "tritonclient"),
)
_CLIENT = ("google", "grpc", "numpy", "tritonclient")
VERBS = {
    "demo": Verb(
        "ernie_triton.demo:main",
        "build what ships, serve it and ask it real texts",
        "build",
        (*_BUILD, "ernie_serve"),
    ),
    "build": Verb(
        "ernie_builders.build_all:main",
        "train or take checkpoints, and publish a model repository",
        "build",
        _BUILD,
    ),
    "lint": Verb(
        "ernie_builders.lint.repository:main", "check a model repository before it is served", "build", _BUILD
    ),
    "assets": Verb("ernie_builders.registry.cli:main", "verify or list the weights that ship", "build", _BUILD),
    "compare": Verb(
        "ernie_builders.repository.compare:main",
        "a task's variants side by side; recommend another, go back a version",
        "build",
        _BUILD,
    ),
    "perf": Verb(
        "ernie_perf.cli:main",
        "measure a repository with perf_analyzer; report, compare, plan",
        "build",
        (*_BUILD, "ernie_serve", "matplotlib", "ernie_perf", "pytriton"),
    ),
    "serve": Verb("ernie_serve.cli:main", "serve a model repository", "serve", ("ernie_serve", "pytriton")),
    "stop": Verb("ernie_serve.cli:stop_main", "stop a server in the background", "serve", ("ernie_serve", "pytriton")),
    "predict": Verb(
        "ernie_triton.batch.cli:predict_main", "ask a task about texts or a file of them", "client", _CLIENT
    ),
    "tasks": Verb("ernie_triton.batch.cli:tasks_main", "list the tasks of a running server", "client", _CLIENT),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit codes: those of the verb; 1 when its package is missing, 2 for wrong usage, 130 interrupted."""
    words = list(sys.argv[1:] if argv is None else argv)
    _open_closed_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # a terminal that is not UTF-8 shows escapes instead of failing
            stream.reconfigure(errors="backslashreplace")
    code = 0
    try:
        code = _dispatch(words)
        sys.stdout.flush()
        return code
    except KeyboardInterrupt:
        sys.stderr.write("\n")
        return 130
    except BrokenPipeError:  # the reader has seen enough
        _drop_output()
        return 0
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        _drop_output()
        if not code:  # else the verb has told it
            sys.stderr.write(f"{PROJECT}: cannot write {error.filename or 'the output'}: {error.strerror}\n")
        return code or 1


def _open_closed_streams() -> None:
    """Python has no stream for a descriptor that is closed, and a file opened later would take its number."""
    for name in ("stdin", "stdout", "stderr"):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "r" if name == "stdin" else "w", encoding="utf-8"))  # noqa: SIM115


def _drop_output() -> None:
    """What is left in the buffer of standard output must not fail again at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _dispatch(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        (sys.stdout if words else sys.stderr).write(usage())
        return 0 if words else 2
    name, rest = words[0], words[1:]
    if name in ("-V", "--version"):
        sys.stdout.write(f"{PROJECT} {version()}\n")
        return 0
    if name not in VERBS:
        near = difflib.get_close_matches(name, VERBS, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(VERBS)}"
        sys.stderr.write(f"{PROJECT}: no command {name!r}; {hint}\n")
        return 2
    return run(name, VERBS[name], rest)


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
    except SystemExit as leaving:  # argparse, and modules that say for themselves what is missing
        if isinstance(leaving.code, str):
            sys.stderr.write(leaving.code + "\n")
            return 1
        return leaving.code or 0


def usage() -> str:
    """One line a verb."""
    lines = [f"  {name:<9}{verb.help}" for name, verb in VERBS.items()]
    return "\n".join(
        [
            f"usage: {PROJECT} COMMAND ...",
            "",
            *lines,
            "",
            f"{PROJECT} COMMAND --help tells more of one, {PROJECT} --version the version.",
            "",
        ]
    )


def version() -> str:
    """Of the installed project."""
    try:
        return metadata.version(PROJECT)
    except metadata.PackageNotFoundError:
        return "(not installed)"


if __name__ == "__main__":
    sys.exit(main())
