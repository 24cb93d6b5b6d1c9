"""Run a function once per device under `paddle.distributed.launch`; the first process's result comes back.

The launcher runs files, not functions: it gets `launched.py`, which reads the function and its argument from a pickle.
"""

from __future__ import annotations

import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TypeVar

from ..console import say
from ..errors import BuildError
from ..framework import device_numbers, import_paddle
from ..processes import child_environment, end_with_parent

Job = TypeVar("Job")
Result = TypeVar("Result")

SCRIPT = Path(__file__).with_name("launched.py")
JOB, RESULT, FAULT, OUTPUT = "job.pickle", "result.pickle", "fault.txt", "launch.log"


@dataclass(frozen=True, kw_only=True)
class Devices:
    """Where the processes run and what they leave."""

    numbers: str  # joined by commas, such as 0,1: one process per device
    device: str  # "cpu", or "gpu"
    logs: Path  # folder for the processes' logs
    title: str  # what runs, for messages: "fine-tuning"
    shown: tuple[str, ...]  # how the lines begin that the person who waits sees; all go to `logs`

    def __post_init__(self) -> None:
        """ConfigError names the option."""
        device_numbers(self.numbers)

    @property
    def count(self) -> int:
        """How many processes."""
        return self.numbers.count(",") + 1


def launch(work: Callable[[Job], Result], job: Job, devices: Devices) -> Result:
    """What `work(job)` returns in the first process; `work` is a function of a module, `job` can be pickled.

    BuildError with the fault of the process that failed, or where its log is.
    """
    import_paddle(devices.device)  # a missing device is reported here, not in a log
    devices.logs.mkdir(parents=True, exist_ok=True)
    job_file, result, fault = (devices.logs / name for name in (JOB, RESULT, FAULT))
    for leftover in (result, fault):
        leftover.unlink(missing_ok=True)
    say(f"    on {devices.count} devices; each one's log is in {devices.logs}")
    try:
        job_file.write_bytes(pickle.dumps((work, job)))
        code = _run(devices, job_file)
        if fault.is_file():
            raise BuildError(fault.read_text(encoding="utf-8"))
        # A process that fails when the result is written (Paddle's communicator, at its exit) loses nothing.
        if not result.is_file():
            raise BuildError(
                f"{devices.title} on {devices.count} devices failed (exit {code}); the reason is in {devices.logs}"
            )
        value: Result = pickle.loads(result.read_bytes())
        return value
    finally:
        job_file.unlink(missing_ok=True)
        result.unlink(missing_ok=True)


def _run(devices: Devices, job_file: Path) -> int:
    """The launcher's exit code; what it prints goes to the log, and in part to the terminal."""
    gpu = devices.device.startswith("gpu")
    command = [sys.executable, "-m", "paddle.distributed.launch", "--log_dir", str(devices.logs)]
    command += ["--devices", devices.numbers] if gpu else ["--nproc_per_node", str(devices.count)]
    with (
        (devices.logs / OUTPUT).open("w", encoding="utf-8") as log,
        _launcher([*command, str(SCRIPT), str(job_file)]) as launcher,
    ):
        for line in launcher.stdout or ():  # the launcher passes on what the first process writes
            log.write(line)
            if line.startswith(devices.shown):
                say(line.rstrip())
        return launcher.wait()


@contextmanager
def _launcher(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """The launcher's process; it has ended, and its processes with it, when the block ends."""
    launcher = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        env=child_environment(),
        start_new_session=True,  # Ctrl-C reaches this process alone, which then asks the launcher to stop
        preexec_fn=end_with_parent,
    )
    output: IO[str] | None = launcher.stdout
    try:
        yield launcher
    finally:
        if launcher.poll() is None:
            launcher.terminate()
        launcher.wait()
        if output is not None:
            output.close()
