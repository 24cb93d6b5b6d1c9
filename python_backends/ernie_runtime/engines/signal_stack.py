"""Works around OpenVINO's CPU plugin, which leaves the thread an unmapped signal stack: the next Ctrl-C would crash.

Each plugin (one per Core) installs an alternative signal stack. When it is released, it unmaps this stack and restores
the previous one, if its own is still the current one. Of two plugins that are released in the order of their creation,
the second restores the stack of the first, which is unmapped; Python's handler of SIGINT runs on the alternative stack,
and the process ends with SIGSEGV (seen with OpenVINO 2026.4). Where the stack is restored at once, the plugin leaves it
alone.
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
    """Restore the signal stack of this thread after the block, or after the decorated function."""
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
