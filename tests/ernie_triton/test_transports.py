"""The gRPC side, as far as it can be seen without a server."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading

import pytest

from ernie_triton.transports.grpc_blocking import uninterrupted

INTERRUPTED = """
import os, signal
from ernie_triton.transports.grpc_blocking import uninterrupted
signal.signal(signal.SIGINT, signal.default_int_handler)
done = []
try:
    with uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        done.append(len(str(2**99)))  # any bytecode: Python would raise here
except KeyboardInterrupt:
    assert done
    try:
        os.kill(os.getpid(), signal.SIGINT)  # and the usual handler is back
    except KeyboardInterrupt:
        print("both")
"""


def test_an_interruption_waits_for_the_end() -> None:
    """In a separate process: engines loaded in the test process may not survive an interrupt."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    run = subprocess.run(
        [sys.executable, "-c", INTERRUPTED], env=environment, capture_output=True, text=True, check=False
    )
    assert (run.stdout, run.returncode) == ("both\n", 0), run.stderr


def test_errors_pass_and_the_usual_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError), uninterrupted():
        raise ValueError
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_and_ignored_signals_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    handler_unchanged = []

    def run() -> None:
        with uninterrupted():
            handler_unchanged.append(signal.getsignal(signal.SIGINT) is before)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert handler_unchanged == [True]
