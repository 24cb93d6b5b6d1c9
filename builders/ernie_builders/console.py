"""The terminal: progress, one-line errors, argument types that several commands share."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from typing import Any, TextIO

from tqdm import tqdm

from ernie_runtime.errors import ErnieError

from .errors import BuildError


def say(line: str, stream: TextIO | None = None) -> None:
    """One line for the person who waits, safe beside a bar."""
    tqdm.write(line, file=stream or sys.stdout)
    (stream or sys.stdout).flush()


def bar(total: int, label: str, unit: str = "text", initial: int = 0) -> Any:
    """A tqdm bar on standard error: twice a second on a terminal, every 20 s (whole lines) in a file."""
    terminal = sys.stderr.isatty()
    return tqdm(
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


class _Lines:
    """Turns a bar's carriage returns into lines, and drops empty ones."""

    def write(self, text: str) -> int:
        """Write one state of the bar as a line."""
        line = text.strip("\r\n ")
        if line:
            sys.stderr.write(line + "\n")
        return len(text)

    def flush(self) -> None:
        """Flush standard error."""
        sys.stderr.flush()


def run_command(name: str, work: Callable[[], None], of_disk: Callable[[OSError], object] | None = None) -> int:
    """0, or 1 after a line that names the command and the fault; of_disk: what to say of an OSError."""
    try:
        work()
    except (BuildError, ErnieError) as error:
        fault: object = error
    except OSError as error:
        fault = of_disk(error) if of_disk else f"{error.filename}: {error.strerror}"
    else:
        return 0
    sys.stderr.write(f"{name}: {fault}\n")
    return 1


def seed(text: str) -> int:
    """A whole number that every generator of random numbers takes."""
    if not (text.isdecimal() and int(text) < 2**31):
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number from 0 to {2**31 - 1:,}")
    return int(text)
