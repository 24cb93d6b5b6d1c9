"""Launchers: plain `tritonserver` and `perf_analyzer` on the PATH, with the libraries and backends that they need.

`make setup` writes them into .venv/bin; `python -m ernie_serve.launchers` writes them beside any other Python.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from ernie_serve import aliases, backends, perf_analyzer, wheel
from ernie_serve.problems import ServeError

NAMES = ("tritonserver", "perf_analyzer")
REPOSITORY_OPTIONS = ("--model-repository", "--model-store")


def write(folder: Path) -> list[Path]:
    """Write both launchers into a folder, for the running Python; a file of the name there is replaced.

    What tritonclient installs as perf_analyzer does not run by itself, and is there as perf_client too.
    """
    paths = []
    for name in NAMES:
        path = folder / name
        partial = path.with_name(f".tmp{os.getpid()}-{name}")
        command = f"{shlex.quote(sys.executable)} -m {perf_analyzer.LAUNCHERS} {name}"
        partial.write_text(f'#!/bin/sh\nexec {command} "$@"\n', encoding="utf-8")
        partial.chmod(0o755)
        partial.replace(path)
        paths.append(path)
    return paths


def tritonserver_command(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The real tritonserver with these arguments, and the environment to run it in.

    The directories of backends and caches are added where the arguments do not name them. A repository whose path the
    Python backend cannot use goes by a link to it. Errors: ServeError when the pip server is not installed or not
    complete, or a link cannot be made.
    """
    wheel.check_environment()
    parts = wheel.find_wheel()
    command = [str(parts.server), *_with_links(arguments)]
    if not any(word.startswith("--backend-directory") for word in arguments):
        command.append(f"--backend-directory={_link_to(backends.assemble(parts))}")
    if not any(word.startswith("--cache-directory") for word in arguments):
        command.append(f"--cache-directory={parts.caches}")
    return command, wheel.environment(parts)


def _with_links(arguments: Sequence[str]) -> list[str]:
    words = list(arguments)
    for index, word in enumerate(words):
        option, equals, value = word.partition("=")
        if option in REPOSITORY_OPTIONS and equals:
            words[index] = f"{option}={_link_to(Path(value))}"
        elif index and words[index - 1] in REPOSITORY_OPTIONS:
            words[index] = str(_link_to(Path(word)))
    return words


def _link_to(path: Path) -> Path:
    """The path as it is where it is safe, or tritonserver will say what is wrong with it."""
    absolute = path.resolve()
    if aliases.is_safe(absolute) or not absolute.is_dir():
        return path
    return aliases.reachable(absolute, aliases.lasting_name(absolute))


def perf_analyzer_command(arguments: Sequence[str]) -> tuple[list[str], dict[str, str]]:
    """The real perf_analyzer with these arguments, and the environment to run it in. Errors: as `locate`."""
    binary, env = perf_analyzer.locate()
    return [str(binary), *arguments], env


def main(argv: Sequence[str] | None = None) -> int:
    """Without arguments: write the launchers beside this Python. Else: become the program named first."""
    name, *arguments = list(sys.argv[1:] if argv is None else argv) or [""]
    try:
        if name == "tritonserver":
            command, env = tritonserver_command(arguments)
        elif name == "perf_analyzer":
            command, env = perf_analyzer_command(arguments)
        else:
            for path in write(Path(sys.executable).parent):
                sys.stdout.write(f"{path}\n")
            return 0
    except ServeError as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1
    os.execve(command[0], command, env)


if __name__ == "__main__":
    sys.exit(main())
