"""`serve --detach`: the same command in a session of its own, whose first lines are shown until it is ready."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

MARK = "ERNIE_TRITON_IN_BACKGROUND"
"""Set in the environment of the command that runs in the background."""


def is_here() -> bool:
    """Whether this process is the one in the background."""
    return MARK in os.environ


def start(words: Sequence[str]) -> int:
    """Run `serve` with these arguments in the background; its exit code where it ends before it is ready, else 0.

    Ctrl-C until then stops it.
    """
    process = subprocess.Popen(
        [sys.executable, "-m", "ernie_serve", *words],
        env={**os.environ, MARK: "1"},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    try:
        for line in process.stdout:
            sys.stdout.write(line.decode(errors="replace"))
            sys.stdout.flush()
        # It closed its output: it is ready, or ends.
        try:
            return process.wait(0.5)
        except subprocess.TimeoutExpired:
            process.returncode = 0  # it goes on; no warning that it was left running
            return 0
    except KeyboardInterrupt:
        process.send_signal(signal.SIGTERM)
        process.wait()
        raise


def let_go(events: Path) -> None:
    """Ready: what is written from now on goes to the end of the file `events`, and the caller of `start` returns."""
    sys.stdout.flush()
    sys.stderr.flush()
    events.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(events, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for stream in (1, 2):  # with --json sys.stdout stands for standard error
        os.dup2(descriptor, stream)
    os.close(descriptor)
