"""Child processes: they import what this process imports, and end when it ends."""

from __future__ import annotations

import ctypes
import os
import signal
import sys


def child_environment(**variables: str) -> dict[str, str]:
    """This process's environment with `variables` set, and a PYTHONPATH that lists the folders this process imports
    from: it may have been started as a script, from a checkout that is not installed."""
    folders = dict.fromkeys(folder for folder in sys.path if folder)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(folders), **variables}


def end_with_parent() -> None:
    """Make Linux send this process SIGTERM when its parent is gone, whatever ended it."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # 1: PR_SET_PDEATHSIG
