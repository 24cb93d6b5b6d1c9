"""Throwaway model repositories, and a look at what a server leaves behind."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ernie_serve.options import ServerOptions

MODEL = """
import time
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def initialize(self, args):
        {initialize}

    def execute(self, requests):
        time.sleep({sleep})
        arrays = [pb_utils.get_input_tensor_by_name(request, "IN").as_numpy() for request in requests]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("OUT", array)]) for array in arrays]
"""

CONFIG = """
backend: "{backend}"
max_batch_size: 8
input [{{ name: "IN" data_type: TYPE_INT32 dims: [1] }}]
output [{{ name: "OUT" data_type: TYPE_INT32 dims: [1] }}]
"""

ENSEMBLE = """
platform: "ensemble"
max_batch_size: 8
input [{{ name: "IN" data_type: TYPE_INT32 dims: [1] }}]
output [{{ name: "OUT" data_type: TYPE_INT32 dims: [1] }}]
ensemble_scheduling {{ step [{{
  model_name: "{step}" model_version: -1
  input_map {{ key: "IN" value: "IN" }} output_map {{ key: "OUT" value: "OUT" }}
}}] }}
"""


def write_model(repository: Path, name: str, *, initialize: str = "pass", sleep: float = 0) -> Path:
    """One model that returns its input."""
    version = repository / name / "1"
    version.mkdir(parents=True)
    (version / "model.py").write_text(MODEL.format(initialize=initialize, sleep=sleep))
    (repository / name / "config.pbtxt").write_text(CONFIG.format(backend="python"))
    return repository


def write_ensemble(repository: Path, name: str, step: str) -> None:
    """An ensemble of one step."""
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(ENSEMBLE.format(step=step))


@pytest.fixture
def options(tmp_path: Path) -> Callable[..., ServerOptions]:
    """Options for a server on free ports that writes its log into the test's folder."""

    def make(repository: Path, **changes: object) -> ServerOptions:
        defaults: dict[str, object] = {
            "http_port": 0,
            "grpc_port": 0,
            "metrics_port": 0,
            "log_file": tmp_path / "server.log",
            "timeout": 60,
        }
        return ServerOptions(repository=repository, **{**defaults, **changes})  # type: ignore[arg-type]

    return make


@pytest.fixture
def nothing_left(tmp_path: Path) -> Iterator[None]:
    """After the test no process of its servers runs, and none of their shared memory is there."""
    yield
    assert processes_of(tmp_path) == []
    assert shared_memory(tmp_path) == set()


def shared_memory(folder: Path) -> set[str]:
    """Names of the shared memory regions of the servers whose logs are below a folder."""
    logs = " ".join(path.read_text(errors="replace") for path in folder.rglob("*.log"))
    prefixes = tuple(re.findall(r"ernie-triton-[0-9a-f]{12}-", logs))
    return {name for name in os.listdir("/dev/shm") if name.startswith(prefixes)}


def processes_of(repository: Path) -> list[str]:
    """Command lines of the running guards, servers and stubs of a repository below a folder."""
    command_lines = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            try:
                words = (entry / "cmdline").read_bytes().decode(errors="replace").split("\0")
            except OSError:
                continue
            if "triton" in " ".join(words[:5]) and any(str(repository) in word for word in words):
                command_lines.append(" ".join(words))
    return command_lines
