"""What a run was measured on."""

from __future__ import annotations

import os
import platform
import re
import sys
from importlib import metadata
from pathlib import Path

import pytest

from ernie_perf import machine


def fake_nvidia_smi(folder: Path, script: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An executable of that name, first on the PATH."""
    path = folder / "nvidia-smi"
    path.write_text(f"#!/bin/sh\n{script}\n", encoding="utf-8")
    path.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")


def test_this_machine() -> None:
    """As /proc tells it."""
    this = machine.describe_machine()
    cpuinfo = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = re.search(r"^model name\s*:\s*(.+)$", cpuinfo, re.MULTILINE)
    if model is not None:
        assert this.cpu == model[1].strip()
    assert all(re.search(rf"\b{name}\b", cpuinfo) for name in this.instructions)
    assert this.threads == len(os.sched_getaffinity(0)) <= (this.logical_cpus or 0)
    kib = re.search(r"^MemTotal:\s+(\d+) kB", Path("/proc/meminfo").read_text(encoding="utf-8"), re.MULTILINE)
    assert kib is not None and this.memory == pytest.approx(1024 * int(kib[1]), rel=0.01)
    assert len(this.load_average) == 3 and all(load >= 0 for load in this.load_average)
    assert this.system.startswith("Linux")


def test_gpus_are_listed_as_nvidia_smi_prints_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One line a GPU, without blanks around it."""
    line = "NVIDIA H100 80GB HBM3, 550.54.15, 81559 MiB"
    recorded = tmp_path / "asked"
    fake_nvidia_smi(tmp_path, f"echo \"$@\" > {recorded}\necho '{line}'\necho ' {line} '\necho", monkeypatch)
    assert machine.list_gpus() == [line, line]
    assert recorded.read_text(encoding="utf-8").split() == [
        "--query-gpu=name,driver_version,memory.total",
        "--format=csv,noheader",
    ]


@pytest.mark.parametrize("script", ["echo 'No devices were found'; exit 6", "exec sleep 30"])
def test_no_gpus_where_nvidia_smi_fails_or_hangs(script: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that is not loaded prints its message on standard output."""
    monkeypatch.setattr(machine, "NVIDIA_SMI_SECONDS", 0.5)
    fake_nvidia_smi(tmp_path, script, monkeypatch)
    assert machine.list_gpus() == []


def test_no_gpus_without_nvidia_smi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The usual case on a laptop."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.list_gpus() == []


def test_versions_of_what_is_installed() -> None:
    """Packages that are missing are left out, not called unknown."""
    assert machine.installed_versions(["numpy", "no-such-package-anywhere"]) == {"numpy": metadata.version("numpy")}
    versions = machine.serving_versions()
    assert versions["python"] == platform.python_version() == ".".join(map(str, sys.version_info[:3]))
    assert versions["tokenizers"] == metadata.version("tokenizers")


def test_a_run_does_not_tell_where_the_repository_lies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded run may be published."""
    monkeypatch.chdir(tmp_path)
    assert machine.repository_name(Path("/home/somebody/secret/model_repository")) == "model_repository"
    assert machine.repository_name(Path(".")) == tmp_path.name
