"""Steps that die, hang or answer wrongly are replaced; a server that ends or hangs is started again."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from ernie_serve import ServeError, ServerOptions, TritonServer, readiness, stubs, supervisor
from ernie_serve.supervisor import Supervisor

from .conftest import write_model

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("nothing_left")]
Options = Callable[..., ServerOptions]

TASK = """
platform: "ensemble"
max_batch_size: 8
input [{{ name: "TEXT" data_type: TYPE_STRING dims: [1] }}]
output [{{ name: "OUT" data_type: TYPE_STRING dims: [1] }}]
parameters {{ key: "manifest" value: {{ string_value: '{{"task": "{name}", "examples": [["小"]]}}' }} }}
ensemble_scheduling {{ step [{{
  model_name: "{name}_step" model_version: -1
  input_map {{ key: "IN" value: "TEXT" }} output_map {{ key: "OUT" value: "OUT" }}
}}] }}
"""


def write_task(repository: Path, name: str, *, initialize: str = "pass", text: str = "") -> None:
    """An ensemble of one step that returns its text. text: a statement of `execute`, before it answers."""
    write_model(repository, f"{name}_step", initialize=initialize)
    config = repository / f"{name}_step" / "config.pbtxt"
    config.write_text(config.read_text().replace("TYPE_INT32", "TYPE_STRING"))
    if text:
        model = repository / f"{name}_step" / "1" / "model.py"
        model.write_text(model.read_text().replace("        time.sleep(0)\n", f"        {text}\n"))
    (repository / name / "1").mkdir(parents=True)
    (repository / name / "config.pbtxt").write_text(TASK.format(name=name))


def answers(server: TritonServer, task: str) -> bool:
    """Whether the task returns what it was sent."""
    tensor = {"name": "TEXT", "datatype": "BYTES", "shape": [1, 1], "data": ["大"]}
    try:
        status, body = server.health.infer(task, {"inputs": [tensor]})
    except OSError:
        return False
    return status == 200 and json.loads(body)["outputs"][0]["data"] == ["大"]


def wait_for(condition: Callable[[], bool], seconds: float = 20.0) -> float:
    """Seconds until the condition holds; fails after `seconds`."""
    began = time.monotonic()
    while not condition():
        assert time.monotonic() - began < seconds, "not in time"
        time.sleep(0.05)
    return time.monotonic() - began


class Watched:
    """A supervised server, and what its supervisor said."""

    def __init__(self, server: TritonServer) -> None:
        self.server, self.said, self.gave_up = server, list[str](), list[ServeError]()
        began = time.monotonic()
        self.supervisor = Supervisor(server, lambda line: self.said.append(f"{time.monotonic() - began:.1f} {line}"))

    def run(self) -> None:
        try:
            self.supervisor.run()
        except ServeError as error:
            self.gave_up.append(error)

    def stub(self, model: str) -> int:
        """Pid of the process of a model."""
        return next(s.pid for s in stubs.stubs_of(self.server.shared_memory_prefix) if s.model == model)

    def tritonserver(self) -> int:
        """Pid of tritonserver itself."""
        return stubs.stubs_of(self.server.shared_memory_prefix)[0].server

    def has_said(self, words: str) -> Callable[[], bool]:
        return lambda: any(words in line for line in self.said)


@contextmanager
def watched(options: ServerOptions) -> Iterator[Watched]:
    with TritonServer(options) as server:
        result = Watched(server)
        result.supervisor.begin()
        thread = threading.Thread(target=result.run)
        thread.start()
        try:
            yield result
        finally:
            print(*result.said, sep="\n")
            result.supervisor.close()
            thread.join()


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verdicts come sooner than an operator would want them, and no probe is quicker than the look at processes."""
    monkeypatch.setattr(supervisor, "PROBE_SECONDS", 60.0)
    monkeypatch.setattr(supervisor, "HUNG_SECONDS", 3.0)
    monkeypatch.setattr(supervisor, "LONGEST_PAUSE", 0.1)


@pytest.mark.usefixtures("quick")
def test_what_dies_or_hangs_is_replaced(tmp_path: Path, options: Options) -> None:
    for name in ("one", "two"):
        write_task(tmp_path / "models", name)
    with watched(options(tmp_path / "models", supervised=True)) as watch:
        server, other = watch.server, watch.stub("two_step")
        os.kill(watch.stub("one_step"), signal.SIGKILL)
        wait_for(watch.has_said("the process of one_step has ended: loaded again in"))
        assert answers(server, "one")

        os.kill(watch.stub("one_step"), signal.SIGSTOP)
        wait_for(watch.has_said("the process of one_step was stopped by a signal: loaded again in"))
        assert answers(server, "one")
        assert watch.stub("two_step") == other, "the other task's process is the same as before"

        tritonserver = watch.tritonserver()
        os.kill(tritonserver, signal.SIGKILL)
        wait_for(watch.has_said("most likely because memory ran out"))
        wait_for(watch.has_said("ready again after"))
        assert answers(server, "one")
        assert answers(server, "two")

        ready = sum("ready again after" in line for line in watch.said)
        os.kill(server.pid, signal.SIGKILL)  # its guard; tritonserver would drain, and hold its ports
        wait_for(lambda: sum("ready again after" in line for line in watch.said) > ready, 30)
        assert answers(server, "one")

        tritonserver = watch.tritonserver()
        os.kill(tritonserver, signal.SIGSTOP)
        wait_for(watch.has_said("tritonserver gave no answer for 3 s: started again"), 30)
        wait_for(lambda: answers(server, "one") and answers(server, "two"), 30)
    assert watch.gave_up == []


def test_a_step_that_fails_its_example_is_loaded_again(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "PROBE_SECONDS", 0.3)
    broken = tmp_path / "broken"
    fails = f"import os; assert not os.path.exists({str(broken)!r}) or os.path.getmtime({str(broken)!r}) < self.began"
    write_task(tmp_path / "models", "one", initialize="self.began = time.time()", text=fails)
    with watched(options(tmp_path / "models", supervised=True, drain_seconds=1)) as watch:
        broken.touch()
        assert not answers(watch.server, "one")
        wait_for(watch.has_said("task one: its example is not answered: "))
        wait_for(lambda: answers(watch.server, "one"))
        wait_for(lambda: watch.supervisor.state.unready() == {})


def test_a_stop_does_not_wait_for_what_died_with_a_step(tmp_path: Path, options: Options) -> None:
    write_task(tmp_path / "models", "one", text="time.sleep(1)")
    with watched(options(tmp_path / "models", supervised=True)) as watch:
        asking = threading.Thread(target=answers, args=(watch.server, "one"))
        asking.start()
        time.sleep(0.3)
        os.kill(watch.stub("one_step"), signal.SIGKILL)
        wait_for(watch.has_said("the process of one_step has ended: loaded again in"))
        watch.supervisor.close()
        began = time.monotonic()
        watch.server.stop()
        assert time.monotonic() - began < 15, "Triton would wait the 30 s that requests may take"
        asking.join()


@pytest.mark.usefixtures("quick")
def test_after_too_many_starts_it_gives_up_and_says_why(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "RESTARTS", 1)
    write_task(tmp_path / "models", "one")
    with watched(options(tmp_path / "models", supervised=True)) as watch:
        os.kill(watch.tritonserver(), signal.SIGSEGV)
        wait_for(watch.has_said("ready again after"))
        os.kill(watch.tritonserver(), signal.SIGSEGV)
        wait_for(lambda: bool(watch.gave_up))
    assert "tritonserver crashed with signal 11" in str(watch.gave_up[0])
    assert "it was started 1 times within 10 minutes" in str(watch.gave_up[0])


def test_readiness_is_told_by_task(tmp_path: Path, options: Options) -> None:
    for name in ("one", "two"):
        write_task(tmp_path / "models", name)
    with TritonServer(options(tmp_path / "models", supervised=True)) as server:
        watch = Supervisor(server, print)
        with readiness.endpoint(watch.state, "127.0.0.1", 0) as port:

            def ask(path: str) -> tuple[int, dict]:
                try:
                    with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}") as reply:
                        return reply.status, json.load(reply)
                except urllib.error.HTTPError as error:
                    return error.code, json.load(error)

            assert ask("/livez") == (200, {"live": True})
            assert ask("/readyz") == (503, {"ready": False, "reasons": {"server": "the server is starting"}})
            watch.begin()
            assert ask("/readyz") == ask("/readyz/two") == (200, {"ready": True})
            assert ask("/readyz/three")[0] == 404
            watch.state.tasks["one"].reason = "its step has gone"
            assert ask("/readyz") == (503, {"ready": False, "reasons": {"one": "its step has gone"}})
            assert ask("/readyz/one")[0] == 503
            assert ask("/readyz/two")[0] == 200
            with pytest.raises(ServeError, match=f"health port {port} is taken by another process"):
                readiness.endpoint(watch.state, "127.0.0.1", port).__enter__()
        assert server.health.ready_models() == ["one", "one_step", "two", "two_step"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/v2/repository/index"),
        ("POST", "/v2/repository/models/one/unload"),
        ("GET", "/v2/systemsharedmemory/status"),
        ("GET", "/v2/trace/setting"),
        ("GET", "/v2/logging"),
    ],
)
def test_what_no_caller_needs_is_closed(closed: str, method: str, path: str) -> None:
    with pytest.raises(urllib.error.HTTPError, match=r"Forbidden|Bad Request") as caught:
        urllib.request.urlopen(
            urllib.request.Request(closed + path, method=method, data=b"" if method == "POST" else None)
        )
    assert "This API is restricted" in caught.value.read().decode()


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """HTTP address of a supervised server."""
    root = tmp_path_factory.mktemp("closed")
    write_task(root / "models", "one")
    free = {"http_port": 0, "grpc_port": 0, "metrics_port": 0}
    with TritonServer(
        ServerOptions(repository=root / "models", log_file=root / "log", supervised=True, **free)
    ) as server:
        yield f"http://{server.http_address}"
