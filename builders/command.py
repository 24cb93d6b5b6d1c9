"""What the builder's commands share: a fault is one line on standard error and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Callable

from ernie_runtime.errors import ErnieError

from .errors import BuildError


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
