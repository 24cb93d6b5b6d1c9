"""A server and a gateway that are told to end: what they have in hand is answered, what is new is refused at once."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from ernie_gateway.stopping import MESSAGE
from ernie_serve import ports
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer

from .conftest import topic_rows
from .wire import results, text_input

pytestmark = pytest.mark.e2e
TEXTS = [row["text"] for row in topic_rows(250, 3)]
REQUESTS = 8
MANY = 8  # so many that none is answered before all are in hand
IN_HAND = "ernie_gateway_requests_in_hand"
ONE = [text_input(["球队比赛"])]


def answers(address: str, tensors: list[Any]) -> int:
    with grpc.InferenceServerClient(address) as client:
        return len(results(client.infer("topic", tensors)))


def done(client: grpc.InferenceServerClient) -> int:
    """Requests that the task has done."""
    (model,) = client.get_inference_statistics("topic_encoder_fp32", as_json=True)["model_stats"]
    return int(model["inference_stats"]["success"].get("count", 0))


def refusals(address: str, until: Future[Any], before: Sequence[str] | None = None) -> list[str]:
    """What new requests get until then, one after the other; empty for an answer.

    before: outcomes of those in flight. Until they are complete, new ones may be among them.
    """
    outcomes = list[str]()
    while before is not None and len(before) < REQUESTS and not until.done():
        time.sleep(0.01)
    time.sleep(0.1)  # longer than the gap by which the server tells queued requests from new ones
    with grpc.InferenceServerClient(address) as client:
        while not until.done():
            try:
                client.infer("topic", ONE)
                outcomes.append("")
            except InferenceServerException as error:
                outcomes.append(f"{error.status()} {error.message()}")
            time.sleep(0.01)
    return outcomes


def test_a_server_drains(repository: Path) -> None:
    options = ServerOptions(
        repository=repository, http_port=0, grpc_port=0, metrics_port=0, supervised=True, bounded=False
    )
    with TritonServer(options) as server, ThreadPoolExecutor(1) as pool:
        client = grpc.InferenceServerClient(server.grpc_address)
        outcomes = list[str]()
        for _ in range(REQUESTS):
            client.async_infer("topic", [text_input(TEXTS)], lambda result, error: outcomes.append(str(error or "")))
        while done(client) < 1:
            time.sleep(0.01)
        began = time.monotonic()
        stop = pool.submit(server.stop)
        time.sleep(0.2)  # "at once" for a request that is on its way already
        refused = refusals(server.grpc_address, stop, outcomes)
        assert time.monotonic() - began < options.drain_seconds / 2
        client.close()
    assert outcomes == [""] * REQUESTS, outcomes
    assert refused and "server is stopping" in refused[0] and "" not in refused


def test_a_gateway_drains(server: TritonServer) -> None:
    port = ports.pick_ports("127.0.0.1", {"grpc": 0})["grpc"]
    command = [
        sys.executable,
        "-m",
        "ernie_gateway",
        "--url",
        server.grpc_address,
        "--port",
        "0",
        "--max-items",
        "9999",
    ]
    process = subprocess.Popen([*command, "--grpc-port", str(port)], stdout=subprocess.PIPE, text=True)
    with process:  # a test that fails leaves no open pipe to the next one
        try:
            drain(process, port)
        finally:
            process.kill()


def drain(process: subprocess.Popen[str], port: int) -> None:
    assert process.stdout is not None
    url = process.stdout.readline().split()[2]

    def ask() -> int:
        reply = httpx.post(f"{url}/v1/tasks/topic", json={"inputs": MANY * TEXTS}, timeout=60)
        return len(reply.json()["answers"])

    def ask_until_refused() -> int:
        answered = 0
        try:
            while True:
                assert answers(f"127.0.0.1:{port}", [text_input(TEXTS)]) == len(TEXTS)
                answered += 1
        except InferenceServerException as error:  # what is in hand may not end in any other error
            assert error.message() == MESSAGE or "Connection refused" in str(error.message())
        return answered

    with ThreadPoolExecutor(9) as pool, httpx.Client(base_url=url, timeout=60) as kept:

        def in_hand() -> float:
            (line,) = (line for line in kept.get("/metrics").text.splitlines() if line.startswith(f"{IN_HAND} "))
            return float(line.split()[1])

        assert kept.get("/readyz").status_code == 200
        in_flight = [pool.submit(ask) for _ in range(4)]
        over_grpc = [pool.submit(ask_until_refused) for _ in range(4)]
        while in_hand() < 8:
            assert not any(request.done() for request in in_flight)
        process.terminate()
        ended = pool.submit(process.wait, 60)
        with contextlib.suppress(httpx.TransportError):  # a moment later nobody listens
            assert kept.get("/readyz").status_code == 503
        time.sleep(0.2)
        outcomes = refusals(f"127.0.0.1:{port}", ended)
        assert all("UNAVAILABLE" in outcome for outcome in outcomes)
        assert [request.result() for request in in_flight] == [MANY * len(TEXTS)] * 4
        assert sum(request.result() for request in over_grpc)
        assert ended.result() == 0
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/readyz")
