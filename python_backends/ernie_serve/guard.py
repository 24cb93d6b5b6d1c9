"""Runs one tritonserver and leaves nothing behind, whatever happens to the process that started it.

Run as a script by ernie_serve.server: ``guard.py PARENT_PID SHM_PREFIX GRACE_SECONDS COMMAND...``. It is a
process of its own, because the kernel's parent-death signal follows the *thread* that started a child, and
because a killed server leaves its stubs and shared memory, which have to be removed.

- SIGTERM, SIGINT or SIGHUP, or the death of PARENT_PID (0: do not watch): SIGTERM to tritonserver, which
  drains; after GRACE_SECONDS, or at once on SIGQUIT: SIGKILL to it and its stubs.
- The death of this process: tritonserver gets SIGTERM from the kernel.
- Ends with tritonserver's exit code, or 128 + the signal that ended it.
"""

from __future__ import annotations

import ctypes
import glob
import os
import select
import shutil
import signal
import sys
import time

PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
WATCH_SECONDS = 0.5
STUB_SECONDS = 5.0
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)


def spawn(command: list[str]) -> int:
    """Start the command in a process group of its own; returns its pid."""
    libc = ctypes.CDLL(None)
    guard = os.getpid()
    child = os.fork()
    if child:
        return child
    try:
        os.setpgid(0, 0)
        libc.prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
        for number in (signal.SIGPIPE, signal.SIGXFSZ):  # Python ignores these, and exec would keep that
            signal.signal(number, signal.SIG_DFL)
        signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if os.getppid() == guard:
            os.execv(command[0], command)
    except OSError as error:
        sys.stderr.write(f"error: cannot run {command[0]}: {error.strerror}\n")
        sys.stderr.flush()
    finally:
        os._exit(127)


def supervise(child: int, parent: int, grace: float) -> int:
    """Pass signals on until the child has ended; returns its exit code, or 128 + signal."""
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    deadline: float | None = None
    while True:
        ended, status = os.waitpid(child, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        ready, _, _ = select.select([wake_read], [], [], WATCH_SECONDS)
        received = set(os.read(wake_read, 64)) - {signal.SIGCHLD} if ready else set()
        orphaned = parent != 0 and os.getppid() != parent
        if deadline is None and (received or orphaned):
            deadline = time.monotonic() + grace
            os.kill(child, signal.SIGTERM)
        if signal.SIGQUIT in received or (deadline is not None and time.monotonic() > deadline):
            kill_group(child)


def kill_group(leader: int) -> None:
    """SIGKILL to tritonserver and its stubs, which share its process group."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def clear(prefix: str) -> None:
    """Wait for the stubs, which this process inherits when their parent dies; remove the server's shared memory."""
    deadline = time.monotonic() + STUB_SECONDS
    try:
        while time.monotonic() < deadline:
            if os.waitpid(-1, os.WNOHANG)[0] == 0:
                time.sleep(0.02)
    except ChildProcessError:
        pass  # the last one has ended
    for path in glob.glob(os.path.join("/dev/shm", glob.escape(prefix) + "*")):
        try:
            os.unlink(path)
        except FileNotFoundError:
            continue


def main(argv: list[str]) -> int:
    """Supervise one server; see the module's docstring."""
    parent, prefix, grace, command = int(argv[0]), argv[1], float(argv[2]), argv[3:]
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # so that none is lost between fork and the handlers
    child = spawn(command)
    code = supervise(child, parent, grace)
    kill_group(child)
    clear(prefix)
    if parent != 0 and os.getppid() != parent:  # else it is there for the next start
        shutil.rmtree(os.path.join("/dev/shm", prefix.removesuffix("-") + ".view"), ignore_errors=True)
    return code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
