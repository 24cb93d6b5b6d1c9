"""For every test: a process that Ctrl-C reaches, no waiting for the disk, one thread where several processes test."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import pytest

if "PYTEST_XDIST_WORKER" in os.environ:  # before numpy and Paddle are imported: they would take all cores each
    for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(variable, "1")

os.environ["TQDM_DISABLE"] = "1"  # on a busy machine a bar would put a line beside the one that a test expects


@pytest.fixture(autouse=True, scope="session")
def _no_waiting_for_the_disk() -> Iterator[None]:
    """Thousands of files are synced to be removed at once. The programs that tests start sync, and so do kill tests."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: None)
        yield


def pytest_configure() -> None:
    """A shell starts what it runs in the background with SIGINT ignored, and children inherit it: tests interrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
