"""OpenVINO's CPU plugin leaves this thread a signal stack that is not there any more: the next Ctrl-C would crash.

Each plugin (one a Core) puts an alternative signal stack of its own in place and, when it is let go, unmaps it and puts
back the one before, but only if its own is still the current one. Of two that are let go in the order they came, the
second puts back the first's, which is unmapped; Python's handler of SIGINT runs on the alternative stack, and the
process ends with SIGSEGV (seen with OpenVINO 2026.4). Where the stack is put back at once, a plugin leaves it alone.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager


class _Stack(ctypes.Structure):
    """Linux's stack_t."""

    _fields_ = (("pointer", ctypes.c_void_p), ("flags", ctypes.c_int), ("size", ctypes.c_size_t))


@contextmanager
def kept_signal_stack() -> Iterator[None]:
    """After the block, or the function that this decorates, this thread has the signal stack of before."""
    if not sys.platform.startswith("linux"):
        yield
        return
    set_stack = ctypes.CDLL(None).sigaltstack
    stack = _Stack()
    set_stack(None, ctypes.byref(stack))
    try:
        yield
    finally:
        set_stack(ctypes.byref(stack), None)
