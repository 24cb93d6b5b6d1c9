"""What the commands share: argument types, and exit codes with a one-line message for every expected error."""

from __future__ import annotations

import argparse
import math
import re
import sys
from collections.abc import Callable
from pathlib import Path

from ernie_builders.errors import BuildError
from ernie_runtime.errors import ErnieError
from ernie_serve import ServeError

from .errors import PerfError

DEFAULT_REPOSITORY = Path("model_repository")


def run_command(name: str, work: Callable[[], int], error_code: int = 1, when_interrupted: str = "interrupted") -> int:
    """The exit code of `work`; `error_code` after an expected error (one line on standard error), 130 after Ctrl-C."""
    try:
        return work()
    except (PerfError, BuildError, ErnieError, ServeError) as error:
        sys.stderr.write(f"{name}: {error}\n")
    except OSError as error:
        sys.stderr.write(f"{name}: {error.filename or 'output'}: {error.strerror}\n")
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{name}: {when_interrupted}\n")
        return 130
    return error_code


def positive_int(text: str) -> int:
    """A whole number above 0."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def positive_float(text: str) -> float:
    """A finite number above 0."""
    value = float(text)
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"{text} is not above 0")
    return value


def positive_ints(text: str) -> tuple[int, ...]:
    """Whole numbers above 0, joined by commas: each once, in the order given; '' for none."""
    return tuple(dict.fromkeys(positive_int(part) for part in split_names(text)))


def positive_floats(text: str) -> tuple[float, ...]:
    """Numbers above 0, joined by commas: each once, ascending; '' for none."""
    return tuple(sorted({positive_float(part) for part in split_names(text)}))


def milliseconds(text: str) -> float:
    """A time such as 50ms, 0.05s or 50 (milliseconds), in milliseconds."""
    match = re.fullmatch(r"([0-9.]+)\s*(ms|s)?", text.strip())
    try:
        value = float(match[1]) * (1000 if match[2] == "s" else 1) if match else 0.0
    except ValueError:
        value = 0.0
    if value <= 0:
        raise argparse.ArgumentTypeError(f"{text}: expected a time such as 50ms")
    return value


def split_names(text: str) -> list[str]:
    """The parts between commas, without blanks around them; empty parts are dropped."""
    return [part for part in (part.strip() for part in text.split(",")) if part]
