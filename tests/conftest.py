"""For every test: a process that Ctrl-C reaches, and one thread a process where several processes run tests."""

from __future__ import annotations

import os
import signal

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy and Paddle are imported: they would take all cores each
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

os.environ["TQDM_DISABLE"] = "1"  # on a busy machine a bar would put a line beside the one that a test expects


def pytest_configure() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, and children inherit it: tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
