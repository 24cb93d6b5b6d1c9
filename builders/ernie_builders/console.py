"""The terminal: lines and progress bars, one-line errors, argument types that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Protocol, TextIO

from tqdm import tqdm

from ernie_runtime.errors import ErnieError

from .errors import BuildError


class ProgressBar(Protocol):
    """What this project uses of tqdm."""

    def update(self, n: int = 1) -> object:
        """Add `n` finished units."""

    def set_postfix(self, *, refresh: bool = True, **figures: str) -> None:
        """Show figures beside the bar."""

    def __enter__(self) -> ProgressBar: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


def say(line: str, stream: TextIO | None = None) -> None:
    """Print one line to `stream` (default: standard output) without breaking a progress bar."""
    tqdm.write(line, file=stream or sys.stdout)
    (stream or sys.stdout).flush()


def bar(total: int, label: str, unit: str = "text", initial: int = 0) -> ProgressBar:
    """A progress bar on standard error, refreshed every 0.5 s; where that is a file, a whole line every 20 s."""
    terminal = sys.stderr.isatty()
    progress: ProgressBar = tqdm(
        total=total,
        desc=f"  {label}",
        unit=unit,
        initial=initial,
        leave=False,
        delay=0.5 if terminal else 10,
        file=sys.stderr if terminal else _Lines(),
        mininterval=0.5 if terminal else 20,
        maxinterval=1 if terminal else 40,
        dynamic_ncols=terminal,
    )
    return progress


class _Lines:
    """A stream that turns a bar's carriage returns into lines and drops empty ones."""

    def write(self, text: str) -> int:
        """Write one state of the bar as a line."""
        line = text.strip("\r\n ")
        if line:
            sys.stderr.write(line + "\n")
        return len(text)

    def flush(self) -> None:
        """Flush standard error."""
        sys.stderr.flush()


def run_command(name: str, work: Callable[[], None], describe: Callable[[OSError], object] | None = None) -> int:
    """Run a command; exit code 0, or 1 after one line with its name and the fault.

    describe: the message for an OSError; default: its file and reason.
    """
    try:
        work()
    except (BuildError, ErnieError) as error:
        fault: object = error
    except BrokenPipeError:  # whoever reads the output has had enough: `ernie-triton` ends as others do
        raise
    except OSError as error:
        fault = describe(error) if describe else f"{error.filename}: {error.strerror}"
    else:
        return 0
    sys.stderr.write(f"{name}: {fault}\n")
    return 1


def seed(text: str) -> int:
    """Argument type of --seed: a whole number that every random generator accepts."""
    if not (text.isdecimal() and int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 0 to {2**31 - 1:,}")
    return int(text)
