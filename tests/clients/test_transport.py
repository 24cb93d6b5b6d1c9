"""The gRPC side, as far as it can be seen without a server."""

from __future__ import annotations

import os
import signal
import threading

import pytest

from ernie_triton.transport import uninterrupted


def test_an_interruption_waits_for_the_end() -> None:
    done = []
    with pytest.raises(KeyboardInterrupt), uninterrupted():
        os.kill(os.getpid(), signal.SIGINT)
        done.append(len(str(2**99)))  # any bytecode: Python would raise here
    assert done
    with pytest.raises(KeyboardInterrupt):  # and the usual handler is back
        os.kill(os.getpid(), signal.SIGINT)


def test_errors_pass_and_the_usual_handler_comes_back() -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(ValueError), uninterrupted():
        raise ValueError
    assert signal.getsignal(signal.SIGINT) is before


def test_other_threads_and_ignored_signals_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def run() -> None:
        with uninterrupted():
            seen.append(signal.getsignal(signal.SIGINT) is before)

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with uninterrupted():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)
    assert seen == [True]
