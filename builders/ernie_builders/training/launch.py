"""Several devices: `paddle.distributed.launch` runs pretrain.py once a device."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import ernie_assets
import ernie_builders
import ernie_runtime

from ..console import say
from ..errors import BuildError, ConfigError
from ..framework import import_paddle

SCRIPT = Path(__file__).resolve().parents[1] / "pretrain.py"
FAULT = "ERNIE_PRETRAIN_FAULT"  # names the file where a process writes its fault
ENDS = ("    stopped after", "    done")  # how the last row of a run begins (run.py)
LAUNCHED = "PADDLE_TRAINERS_NUM"


def is_worker() -> bool:
    """Whether this is one of several processes."""
    return int(os.environ.get(LAUNCHED, "1")) > 1


def write_fault(error: BaseException) -> None:
    """Tell the process that launched this one."""
    path = os.environ.get(FAULT)
    if path and is_worker():
        Path(path).write_text(str(error), encoding="utf-8")


def launch(devices: str, device: str, arguments: Sequence[str], output: Path) -> None:
    """Run `pretrain.py ARGUMENTS` on each device; BuildError with a process's fault, or where its log is."""
    numbers = devices.split(",")
    if not all(number.isdigit() for number in numbers):
        raise ConfigError(f"--devices {devices}: expected numbers joined by commas, such as 0,1")
    import_paddle(device)  # a device that is not there is told here, not in a log
    logs, fault = output / "logs", output / "fault.txt"
    fault.unlink(missing_ok=True)
    where = ["--devices", devices] if device.startswith("gpu") else ["--nproc_per_node", str(len(numbers))]
    command = [sys.executable, "-m", "paddle.distributed.launch", "--log_dir", str(logs), *where, str(SCRIPT)]
    packages = [
        str(Path(module.__file__).parents[1])
        for module in (ernie_builders, ernie_assets, ernie_runtime)
        if module.__file__
    ]
    path = os.pathsep.join([*packages, os.environ.get("PYTHONPATH", "")]).rstrip(os.pathsep)
    environment = {**os.environ, "PYTHONPATH": path, FAULT: str(fault.resolve())}
    say(f"    on {len(numbers)} devices; each one's log is in {logs}")
    launcher = subprocess.Popen(
        [*command, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=environment,
        start_new_session=True,  # Ctrl-C comes here alone, and the launcher is asked to stop its processes
        preexec_fn=end_with_parent,
    )
    assert launcher.stdout is not None
    ended = False
    try:
        for row in launcher.stdout:  # the launcher passes on what the first process writes
            ended = ended or row.startswith(ENDS)
            if row.startswith(("    step", "    goes on", *ENDS)):
                say(row.rstrip())
        code = launcher.wait()
    finally:
        if launcher.poll() is None:
            launcher.terminate()
        launcher.wait()
        launcher.stdout.close()
    if fault.is_file():
        raise BuildError(fault.read_text(encoding="utf-8"))
    if not ended:  # a process that fails when all is done (Paddle's communicator at its exit) loses nothing
        raise BuildError(f"pre-training on {len(numbers)} devices failed (exit {code}); the reason is in {logs}")


def end_with_parent() -> None:
    """Have Linux end this process (SIGTERM) when the one that started it is gone, however it went."""
    ctypes.CDLL(None).prctl(1, signal.SIGTERM)  # PR_SET_PDEATHSIG
