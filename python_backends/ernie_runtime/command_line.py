"""The parser of every command: one line for a fault, defaults in the help, twins in the environment, completion.

An option that several commands share can be set once for a shell: `--url` by ERNIE_TRITON_URL, and so on (TWINS). What
is typed goes before the environment, and that before the default.
"""

from __future__ import annotations

import argparse
import difflib
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, redirect_stdout
from typing import Any, NoReturn

SHARED = "url http-url metrics-url repository data-dir tasks-file http-port grpc-port metrics-port"
TWINS = {f"--{name}": f"ERNIE_TRITON_{name.replace('-', '_').upper()}" for name in SHARED.split()}
COMPLETING = "_ARGCOMPLETE"  # set where a shell asks argcomplete: how many words stand before the options


class Formatter(argparse.RawDescriptionHelpFormatter):
    """Shows each option's default and its twin in the environment, unless the help has them already."""

    def _get_help_string(self, action: argparse.Action) -> str | None:
        text = action.help
        if text is None or action.help == argparse.SUPPRESS:
            return text
        takes_value = action.option_strings and action.nargs != 0
        is_plain = action.default not in (None, False, True, argparse.SUPPRESS, "") and action.default != []
        if takes_value and is_plain and "default:" not in text:
            text = f"{text} (default: %(default)s)".lstrip()
        twin = twin_of(action)
        return f"{text} [{twin}]" if twin else text


class CommandLine(argparse.ArgumentParser):
    """An ArgumentParser whose faults are one line, with the name that was probably meant; exit code 2.

    from_environment: after parsing, the attributes whose values come from the environment.
    """

    is_completing = False

    def __init__(self, *args: Any, **settings: Any) -> None:
        super().__init__(*args, **{"formatter_class": Formatter, **settings})
        self.from_environment: frozenset[str] = frozenset()

    def parse_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As ArgumentParser's."""
        parsed, unknown = self.parse_known_args(args, namespace)
        self._refuse(unknown)
        return parsed

    def parse_intermixed_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As ArgumentParser's."""
        parsed, unknown = self.parse_known_intermixed_args(args, namespace)
        self._refuse(unknown)
        return parsed

    def parse_known_args(self, args: Sequence[str] | None = None, namespace: Any = None) -> Any:  # type: ignore[override]
        """As ArgumentParser's; the environment sets the defaults of options in TWINS, and shells get completions."""
        self.complete()
        twins = [(action, twin) for action in self._actions if (twin := twin_of(action))]
        for action, twin in twins:
            action.default, action.required = self._from_environment(action, twin), False
        parsed, unknown = super().parse_known_args(args, namespace)
        self.from_environment = frozenset(
            action.dest for action, _ in twins if getattr(parsed, action.dest, None) is action.default
        )
        return parsed, unknown

    def _from_environment(self, action: argparse.Action, twin: str) -> Any:
        try:
            value = self._get_value(action, os.environ[twin])
            if action.choices is not None and value not in action.choices:
                raise argparse.ArgumentError(action, f"choose from {', '.join(map(str, action.choices))}")
        except argparse.ArgumentError as error:
            self.error(f"{twin}={os.environ[twin]}, which stands for {action.option_strings[0]}: {error.message}")
        return value

    def _refuse(self, unknown: Sequence[str]) -> None:
        if not unknown:
            return
        options = [word.partition("=")[0] for word in unknown if word.startswith("-")]
        if options:
            self.error(f"no option {options[0]}{did_you_mean(options[0], self._option_string_actions)}")
        self.error(f"one argument too many: {unknown[0]!r}")

    def error(self, message: str) -> NoReturn:
        """Write one line and exit with 2."""
        if wrong := re.search(r"invalid choice: '?([^']*?)'? \(choose from (.*)\)", message):
            choices = re.findall(r"'([^']*)'", wrong[2]) or wrong[2].split(", ")
            message += did_you_mean(wrong[1], choices)
        sys.stderr.write(f"{self.prog}: {message} (`{self.prog} --help`)\n")
        sys.exit(2)

    def complete(self) -> None:
        """Where a shell asks for completions of this command, print them and exit."""
        if COMPLETING not in os.environ or CommandLine.is_completing:
            return
        import argcomplete

        CommandLine.is_completing = True  # argcomplete parses, too
        argcomplete.autocomplete(self)


@contextmanager
def json_output(wanted: bool) -> Iterator[Callable[[object], None]]:
    """Of a command with --json: what it prints in the block goes to standard error.

    Yields a function that prints an object as a line of JSON on standard output, or does nothing without --json.
    """
    output = sys.stdout

    def write(document: object) -> None:
        if wanted:
            output.write(json.dumps(document, ensure_ascii=False, default=str) + "\n")
            output.flush()

    with redirect_stdout(sys.stderr) if wanted else nullcontext():
        yield write


def twin_of(action: argparse.Action) -> str | None:
    """The variable of the environment that stands for an option, if it is set."""
    twins = [TWINS[option] for option in action.option_strings if option in TWINS]
    return twins[0] if twins and os.environ.get(twins[0]) else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """`; did you mean A or B?`, or an empty string where no known word is close."""
    close = difflib.get_close_matches(word, list(known), 2, 0.6)
    return f"; did you mean {' or '.join(close)}?" if close else ""
