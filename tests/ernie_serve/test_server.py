"""The real tritonserver: it starts, answers, drains, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ernie_serve import ServeError, ServerOptions, TritonServer, aliases, backends, ports

from .conftest import CONFIG, processes_of, shared_memory, write_ensemble, write_model

pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("nothing_left")]

Options = Callable[..., ServerOptions]


def infer(address: str, model: str, value: int) -> Any:
    body = {"inputs": [{"name": "IN", "datatype": "INT32", "shape": [1, 1], "data": [value]}]}
    request = urllib.request.Request(f"http://{address}/v2/models/{model}/infer", json.dumps(body).encode())
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=30) as answer:
        return json.load(answer)["outputs"][0]["data"][0]


def test_serves_a_repository_and_stops(tmp_path: Path, options: Options) -> None:
    write_python = "from pathlib import Path; import sys, numpy; Path(args['model_repository'], 'python').write_text"
    write_model(tmp_path, "echo", initialize=write_python + "(sys.prefix + ' ' + numpy.__version__)")
    write_ensemble(tmp_path, "task", "echo")
    progress: list[tuple[int, int]] = []
    server = TritonServer(options(tmp_path, extra=("--cache-config=local,size=1048576",)))
    server.start()
    try:
        server.wait_ready(lambda ready, total: progress.append((ready, total)))
        assert infer(server.http_address, "task", 7) == 7
        assert [(row.name, row.state) for row in server.health.models()] == [
            ("echo", "READY"),
            ("task", "READY"),
        ]
        assert server.health.ensembles() == ["task"]
    finally:
        server.stop()
    assert progress[0] == (0, 2)
    assert progress[-1] == (2, 2)
    assert server.poll() == 0
    prefix, numpy = (tmp_path / "echo" / "python").read_text().rsplit(" ", 1)
    assert (prefix, int(numpy.split(".")[0])) == (sys.prefix, 1), "the stub runs this environment's Python"


def test_any_path_of_the_repository_and_of_the_backends(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Triton starts its stubs through a shell, without quotes, in an ASCII locale."""
    folder = tmp_path / "模型 仓库 (1)" / 'it\'s $HOME; "it"'
    monkeypatch.setenv("ERNIE_TRITON_CACHE", str(folder / "cache"))
    write_model(folder / "models", "echo")
    (adapter := folder / "ours" / "own_backend").mkdir(parents=True)
    (adapter / "model.py").write_text((folder / "models" / "echo" / "1" / "model.py").read_text())
    monkeypatch.setattr(backends, "adapters", lambda: folder / "ours")
    (folder / "models" / "own" / "1").mkdir(parents=True)
    (folder / "models" / "own" / "config.pbtxt").write_text(CONFIG.format(backend="own_backend"))
    with TritonServer(options(folder / "models")) as server:
        assert infer(server.http_address, "echo", 7) == 7
        assert infer(server.http_address, "own", 8) == 8
    write_model(folder / "models", "bad", initialize="raise ValueError(args['model_repository'])")
    with pytest.raises(ServeError) as caught, TritonServer(options(folder / "models")):
        pass
    assert f"model bad failed to load: ValueError: {folder / 'models' / 'bad'}" in str(caught.value)


def test_a_path_that_no_link_can_replace_is_refused(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aliases, "FOLDER", tmp_path / "absent")
    write_model(tmp_path / "模型", "echo")
    with pytest.raises(ServeError, match=r"模型: Triton's Python backend cannot use .* a folder with a plain name"):
        TritonServer(options(tmp_path / "模型")).start()


def test_two_servers_at_once_and_a_killed_one_leaves_nothing(tmp_path: Path, options: Options) -> None:
    write_model(tmp_path, "echo")
    with TritonServer(options(tmp_path)) as first:
        with TritonServer(options(tmp_path, log_file=tmp_path / "second.log")) as second:
            assert len(shared_memory(tmp_path)) == 2
            assert infer(second.http_address, "echo", 2) == 2
            second.kill()
        assert len(shared_memory(tmp_path)) == 1
        assert infer(first.http_address, "echo", 1) == 1
        first.kill()


def test_failing_models_are_named_with_their_reasons(tmp_path: Path, options: Options) -> None:
    write_model(tmp_path, "good")
    write_model(tmp_path, "bad", initialize="raise ValueError('labels.txt holds 3 labels,\\n the model has 4')")
    write_model(tmp_path, "lost")
    (tmp_path / "lost" / "1" / "model.py").unlink()
    with pytest.raises(ServeError) as caught, TritonServer(options(tmp_path)):
        pass
    message = str(caught.value)
    assert "model bad failed to load: ValueError: labels.txt holds 3 labels, the model has 4;" in message
    assert "model lost failed to load: Python model file not found" in message
    assert "\n" not in message
    assert "good" not in message


def test_a_port_that_is_taken_after_the_check_is_named(tmp_path: Path, options: Options) -> None:
    write_model(tmp_path, "echo", initialize="import time; time.sleep(1)")
    server = TritonServer(options(tmp_path))
    server.start()
    port = server.options.grpc_port
    with (
        socket.create_server(("127.0.0.1", port)),
        pytest.raises(ServeError, match=rf"^grpc port {port} is taken"),
    ):
        server.wait_ready()


def test_a_server_that_lost_its_port_is_not_taken_for_the_winner(
    tmp_path: Path, options: Options, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path, "echo")
    monkeypatch.setattr(ports, "check_ports", lambda host, chosen: None)
    with TritonServer(options(tmp_path)) as winner:
        port = winner.options.http_port
        loser = options(tmp_path, http_port=port, log_file=tmp_path / "loser.log")
        with pytest.raises(ServeError, match=rf"^http port {port} is taken"), TritonServer(loser):
            pass
        winner.kill()


RACE = (
    "import os, signal, sys; from pathlib import Path; count = Path(args['model_repository'], 'count'); "
    "starts = int(count.read_text()) + 1 if count.exists() else 1; count.write_text(str(starts)); "
    "starts <= {failing} and (print('{text}', file=sys.stderr, flush=True), os.kill(os.getppid(), signal.SIGABRT))"
)


@pytest.mark.parametrize(
    ("text", "failing", "starts"),
    [
        ("what():  boost::interprocess::lock_exception", 1, 2),
        ("what():  boost::interprocess::lock_exception", 9, 3),
        ("what():  std::bad_alloc", 1, 1),
    ],
)
def test_a_race_while_models_load_is_met_by_another_start(
    tmp_path: Path, options: Options, text: str, failing: int, starts: int
) -> None:
    write_model(tmp_path, "echo", initialize=RACE.format(text=text, failing=failing))
    server = TritonServer(options(tmp_path))
    if failing < starts:
        with server:
            assert infer(server.http_address, "echo", 7) == 7
    else:
        with pytest.raises(ServeError, match="tritonserver crashed with signal 6"), server:
            pass
    assert (tmp_path / "echo" / "count").read_text() == str(starts)


def test_a_server_that_takes_too_long_is_killed(tmp_path: Path, options: Options) -> None:
    write_model(tmp_path, "slow", initialize="import time; time.sleep(60)")
    says = r"not ready after 1 s, with 0 of 1 models loaded.*--timeout"
    with pytest.raises(ServeError, match=says), TritonServer(options(tmp_path, timeout=1)):
        pass


def command(*words: str, cache: Path) -> subprocess.Popen[str]:
    code = "import sys; from ernie_serve import cli, stop; sys.exit(vars()[sys.argv[1]].main(sys.argv[2:]))"
    paths = os.pathsep.join(path for path in sys.path if path)
    env = dict(os.environ, PYTHONPATH=paths, ERNIE_TRITON_CACHE=str(cache))
    return subprocess.Popen(
        [sys.executable, "-c", code, *words],
        env=env,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def started(process: subprocess.Popen[str]) -> str:
    """Wait for the command's endpoints; returns the HTTP address."""
    assert process.stdout is not None
    address = ""
    for line in process.stdout:
        if line.startswith("  HTTP"):
            address = line.split("//")[1].strip()
        if line.startswith("  tasks"):
            return address
    raise AssertionError(f"did not start: {process.communicate()}")


FREE = ("--http-port=0", "--grpc-port=0", "--metrics-port=0")


def test_sigterm_lets_a_request_in_flight_finish(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "slow", sleep=1)
    process = command("cli", str(tmp_path / "models"), *FREE, cache=tmp_path / "cache")
    address = started(process)
    answers: list[Any] = []
    client = threading.Thread(target=lambda: answers.append(infer(address, "slow", 5)))
    client.start()
    time.sleep(0.4)
    process.send_signal(signal.SIGTERM)
    client.join()
    _, errors = process.communicate(timeout=30)
    assert answers == [5]
    assert (process.returncode, errors) == (0, "")


@pytest.mark.timing
def test_a_second_signal_ends_at_once(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "stuck", sleep=60)
    process = command("cli", str(tmp_path / "models"), *FREE, cache=tmp_path / "cache")
    address = started(process)

    def abandoned() -> None:
        with pytest.raises(OSError):
            infer(address, "stuck", 5)

    client = threading.Thread(target=abandoned)
    client.start()
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    time.sleep(0.3)
    begin = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=30)
    client.join()
    assert time.monotonic() - begin < 5
    assert process.returncode == 1
    assert "requests in flight were lost" in errors


def test_the_gateway_starts_and_ends_with_the_server(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "echo")
    port = str(ports.pick_ports("127.0.0.1", {"gateway": 0})["gateway"])
    process = command(
        "cli", str(tmp_path / "models"), *FREE, "--gateway", f"--gateway-port={port}", cache=tmp_path / "cache"
    )
    assert process.stdout is not None
    assert any(line.startswith("  gateway") for line in process.stdout)
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(f"http://127.0.0.1:{port}/healthz", timeout=30) as answer:
        assert answer.status == 200
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 0
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", int(port)), timeout=5)


def test_the_server_dies_with_a_killed_parent(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "echo")
    process = command("cli", str(tmp_path / "models"), *FREE, cache=tmp_path / "cache")
    started(process)
    process.kill()
    process.communicate()
    deadline = time.monotonic() + 15
    while processes_of(tmp_path) and time.monotonic() < deadline:
        time.sleep(0.1)


def test_the_gateway_beside_it_is_started_again_and_ends_with_it(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "echo")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    log = tmp_path / "server.log"
    words = ("cli", str(tmp_path / "models"), *FREE, "--gateway", "--gateway-port", str(port), f"--log-file={log}")
    process = command(*words, cache=tmp_path / "cache")
    assert process.stdout is not None
    with process:
        while not process.stdout.readline().startswith("  gateway"):
            assert process.poll() is None
        gateway = int(subprocess.check_output(["pgrep", "-f", f"ernie_gateway .*--port {port} "], text=True))
        os.kill(gateway, signal.SIGKILL)
        assert process.stdout.readline() == "the gateway ended with signal 9: started again\n"
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz") as reply:
            assert json.load(reply) == {"status": "ok"}
        process.terminate()
        process.communicate(timeout=60)
    assert process.returncode == 0
    with pytest.raises(urllib.error.URLError, match="refused"):
        urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz")


def test_detach_and_stop(tmp_path: Path) -> None:
    write_model(tmp_path / "models", "echo")
    cache = tmp_path / "cache"
    process = command("cli", str(tmp_path / "models"), *FREE, "--detach", "--json", cache=cache)
    output, errors = process.communicate(timeout=60)
    assert process.returncode == 0, errors
    ready = json.loads(output)
    assert ready["tasks"] == [] and "in the background" in errors
    port = ready["http"].rsplit(":", 1)[1]
    assert infer(f"127.0.0.1:{port}", "echo", 3) == 3
    assert json.loads((cache / f"serve-{port}.json").read_text())["http_port"] == int(port)

    second = command("cli", str(tmp_path / "models"), f"--http-port={port}", "--detach", cache=cache)
    _, errors = second.communicate(timeout=30)
    assert (second.returncode, errors.count("\n")) == (1, 1)
    assert f"ernie-triton stop --http-port {port}" in errors

    stop = command("stop", "--json", cache=cache)
    output, errors = stop.communicate(timeout=30)
    assert (json.loads(output)["drained"], errors) == (True, f"stopped the server on HTTP port {port}\n")
    assert not (cache / f"serve-{port}.json").exists()
    stop = command("stop", cache=cache)
    stop.communicate(timeout=30)
    assert stop.returncode == 1
