"""Progress on the terminal: a bar where there is one, a line now and then where the output is a file."""

from __future__ import annotations

import sys
from typing import Any, TextIO

from tqdm import tqdm


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
