"""What a run was measured on: processor or GPU, threads, versions."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib import metadata
from pathlib import Path
from typing import Any

from ernie_builders.compression import measure

PACKAGES = ("ernie-triton", "nvidia-pytriton", "tritonclient", "onnxruntime", "openvino", "numpy", "tokenizers")


def machine() -> dict[str, Any]:
    """CPU model, its vector instructions, threads of this process, memory in bytes, GPUs, what else was running."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        **measure.machine(),
        "logical_cpus": os.cpu_count(),
        "memory": memory,
        "system": platform.platform(),
        "gpus": gpus(),
        "load_average": [round(value, 2) for value in os.getloadavg()],
    }


def gpus() -> list[str]:
    """Name, driver and memory of each GPU as nvidia-smi says; empty where there is none."""
    command = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return []
    return [line.strip() for line in done.stdout.splitlines() if line.strip()] if done.returncode == 0 else []


def versions() -> dict[str, str]:
    """Of Python and of what serves; without the packages that are not installed."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


def repository_name(path: Path) -> str:
    """A run may be published: the folder's name, not where it is on this machine."""
    return path.resolve().name
