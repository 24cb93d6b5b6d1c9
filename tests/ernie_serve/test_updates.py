"""A task is updated while it is asked: the new version's steps beside the old ones, checked, then one exchange."""

from __future__ import annotations

import json
import py_compile
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from ernie_serve import ServeError, ServerOptions, TritonServer, control, stubs, view
from ernie_serve.reload import main as reload_main
from ernie_serve.supervisor import Supervisor
from ernie_serve.updates import Updates

from .test_supervisor import wait_for

pytestmark = pytest.mark.e2e

TENSORS = """
max_batch_size: 8
input [{ name: "TEXT" data_type: TYPE_STRING dims: [1] }]
output [{ name: "RESULT" data_type: TYPE_STRING dims: [1] }]
"""
ENSEMBLE = """
platform: "ensemble"
parameters { key: "manifest" value { string_value: '{"task": "one", "examples": [["小"]]}' } }
ensemble_scheduling { step [{
  model_name: "one_step" model_version: -1
  input_map { key: "TEXT" value: "TEXT" } output_map { key: "RESULT" value: "RESULT" }
}] }
"""
MODEL = """
import json
import numpy as np
import triton_python_backend_utils as pb_utils

class TritonPythonModel:
    def execute(self, requests):
        texts = [pb_utils.get_input_tensor_by_name(request, "TEXT").as_numpy() for request in requests]
        say = lambda text: json.dumps({"label": text.decode() + "SAYS"}).encode()
        rows = [np.array([[say(t)] for t in array.reshape(-1)], dtype=object) for array in texts]
        return [pb_utils.InferenceResponse([pb_utils.Tensor("RESULT", array)]) for array in rows]
"""


def publish(repository: Path, version: int, *, says: str, recorded: str = "") -> None:
    """A version of the task "one", whose label is the text and `says`; recorded: the label that it should have."""
    for model, config in (("one_step", TENSORS + 'backend: "python"'), ("one", TENSORS + ENSEMBLE)):
        folder = repository / model / str(version)
        folder.mkdir(parents=True)
        (repository / model / "config.pbtxt").write_text(config)
        (folder / "manifest.json").write_text(json.dumps({"task": "one", "version": version, "examples": [["小"]]}))
        if model == "one_step":
            (folder / "model.py").write_text(MODEL.replace("SAYS", says))
            py_compile.compile(str(folder / "model.py"))  # or Triton would find the folder changed, and load it again
        elif recorded:
            items = [{"texts": ["小"], "result": {"label": recorded}}]
            (folder / "answers.json").write_text(json.dumps({"tolerance": 0, "may_differ": 0, "items": items}))


class Served:
    """A supervised server of one task that takes orders."""

    def __init__(self, server: TritonServer, repository: Path) -> None:
        self.server, self.repository = server, repository

    def ask(self) -> tuple[int, bytes]:
        """The reply of the task."""
        tensor = {"name": "TEXT", "datatype": "BYTES", "shape": [1, 1], "data": ["大"]}
        return self.server.health.infer("one", {"inputs": [tensor]})

    def label(self) -> str:
        """What the task answers."""
        status, body = self.ask()
        assert status == 200, body
        return str(json.loads(json.loads(body)["outputs"][0]["data"][0])["label"])

    def processes(self) -> set[str]:
        """The models that have one."""
        return {stub.model for stub in stubs.stubs_of(self.server.shared_memory_prefix)}


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Served]:
    repository = tmp_path / "models"
    publish(repository, 1, says="1")
    ports = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    options = ServerOptions(
        repository=repository, log_file=tmp_path / "server.log", supervised=True, drain_seconds=1, **ports
    )
    with TritonServer(options) as server:
        supervisor = Supervisor(server, print)
        supervisor.begin()
        thread = threading.Thread(target=supervisor.run)
        thread.start()
        monkeypatch.setenv("ERNIE_TRITON_CACHE", str(tmp_path))
        try:
            with control.listening(server.options.http_port, repository, Updates(server, supervisor)):
                yield Served(server, repository)
        finally:
            supervisor.close()
            thread.join()
    assert server.view is not None
    assert not server.view.folder.exists()


def test_a_version_is_served_when_it_answers_right(served: Served, capsys: pytest.CaptureFixture[str]) -> None:
    assert reload_main(["one"]) == 0
    assert "task one: version 1 is what is served" in capsys.readouterr().out

    publish(served.repository, 2, says="2", recorded="小2")
    assert reload_main(["one", "--repository", str(served.repository)]) == 0
    assert "task one: version 2 is served" in capsys.readouterr().out
    assert served.label() == "大2"
    wait_for(lambda: served.processes() == {"one_step.v2"})

    publish(served.repository, 3, says="3", recorded="小4")
    assert reload_main(["one", "nothing"]) == 1
    errors = capsys.readouterr().err
    assert "version 3 is not served, version 2 goes on: one answers 1 of 1 recorded texts otherwise" in errors
    assert "no task nothing in" in errors
    assert served.label() == "大2"

    for model in ("one", "one_step"):  # as a rollback does
        for version in ("2", "3"):
            shutil.rmtree(served.repository / model / version)
    assert reload_main(["one", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["one"]["version"] == 1
    assert served.label() == "大1"
    wait_for(lambda: served.processes() == {"one_step.v1"})
    assert served.server.health.ready_models() == ["one", "one_step.v1"]


def test_nobody_else_reads_its_memory_or_its_log(served: Served) -> None:
    files = [*Path("/dev/shm").glob(f"{served.server.shared_memory_prefix}*"), served.server.log_file]
    files.append(control.path(served.server.options.http_port))
    assert len(files) > 2
    assert [file.name for file in files if file.stat().st_mode & 0o077] == []


def test_which_server_is_meant(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERNIE_TRITON_CACHE", str(tmp_path))
    with pytest.raises(ServeError, match=r"^no server runs for this user: it is started with `ernie-triton serve`$"):
        control.find(None, None)
    with pytest.raises(ServeError, match=r"^no server of .*models runs on HTTP port 8000 for this user"):
        control.find(8000, tmp_path / "models")


def test_names_in_configurations() -> None:
    text = 'name: "a_step" model_name: \'a_step\' value: "{\\"a_step\\": \\"a_step2\\"}" x: "a_step2"'
    assert view.renamed(text, {"a_step": "b"}) == (
        'name: "b" model_name: "b" value: "{\\"a_step\\": \\"a_step2\\"}" x: "a_step2"'
    )
