"""What a run was measured on: processor, GPUs, threads and the versions of what serves."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

from ernie_builders.compression import measure

PACKAGES = ("ernie-triton", "nvidia-pytriton", "tritonclient", "onnxruntime", "openvino", "numpy", "tokenizers")
NVIDIA_SMI_SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class Machine:
    """As run.json has it."""

    cpu: str  # the processor's name
    instructions: Sequence[str]  # vector instructions that matter to inference
    threads: int  # that this process may use
    logical_cpus: int | None = None
    memory: int = 0  # bytes
    system: str = ""
    gpus: Sequence[str] = ()
    load_average: Sequence[float] = ()  # over 1, 5 and 15 minutes, when the run began


def describe_machine() -> Machine:
    """This machine, now."""
    processor = measure.machine()
    return Machine(
        cpu=processor["cpu"],
        instructions=processor["instructions"],
        threads=processor["threads"],
        logical_cpus=os.cpu_count(),
        memory=os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        system=platform.platform(),
        gpus=list_gpus(),
        load_average=[round(value, 2) for value in os.getloadavg()],
    )


def list_gpus() -> list[str]:
    """Name, driver version and memory of each GPU, as nvidia-smi prints them; empty where it cannot be run."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        result = subprocess.run(command, capture_output=True, text=True, timeout=NVIDIA_SMI_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in result.stdout.splitlines() if line.strip()] if result.returncode == 0 else []


def installed_versions(packages: Sequence[str] = PACKAGES) -> dict[str, str]:
    """Version of each package; those that are not installed are left out."""
    versions = {}
    for name in packages:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return versions


def serving_versions() -> dict[str, str]:
    """Versions of Python and of the packages that serve."""
    return {"python": platform.python_version(), **installed_versions()}


def repository_name(path: Path) -> str:
    """The folder's name without its path: a run may be published."""
    return path.resolve().name
