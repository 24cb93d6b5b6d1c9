"""More load than the real server can take, clients that cancel, and priorities; the published bounds hold.

The encoder is made slow (a base model of many layers), so that the test's own client is never what is short.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from ernie_builders import build_all
from ernie_builders.lint.repository import lint
from ernie_perf import cli
from ernie_perf.stress import overload
from ernie_runtime.triton.metrics import REAL
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer

from ..shared import made_once
from .conftest import topic_rows, write_base_model
from .gateways import gateway
from .test_metrics import tokens
from .wire import results, text_input

pytestmark = pytest.mark.e2e
SLO_MS = 1000
SLO = f"\n[tasks.topic.serving]\nslo_ms = {SLO_MS}\n"
BOUNDS = {"slow": f"{SLO}queue_size = 32\npriorities = true\n", "shedding": SLO}
UNAVAILABLE = "StatusCode.UNAVAILABLE"
TEXTS = 8  # in a request
BLOCKERS = 12  # long requests that others wait behind


@dataclass(frozen=True)
class Outcome:
    """The outcome of one request, sent at `sent` seconds after the start."""

    sent: float
    seconds: float
    status: str  # empty: answered
    priority: int
    message: str


@pytest.fixture(scope="module")
def repositories(build_arguments: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two repositories of the tiny task with a wide encoder, hardly trained: one for each of BOUNDS."""

    def build(root: Path) -> None:
        write_base_model(root / "base", hidden=256, layers=6, heads=4)
        arguments = [*build_arguments, "--tasks", "topic", "--set", "epochs=0.1"]
        options = dict(zip(arguments[::2], arguments[1::2], strict=True))
        tasks = Path(options["--tasks-file"]).read_text(encoding="utf-8")
        options |= {"--base-model": str(root / "base"), "--cache": str(root / "build")}
        for name, table in BOUNDS.items():
            (root / f"{name}.toml").write_text(tasks + table, encoding="utf-8")
            options |= {"--tasks-file": str(root / f"{name}.toml"), "--output": str(root / name)}
            assert build_all.main([part for option in options.items() for part in option]) == 0

    return made_once("overload", build, tmp_path_factory)


def served(repository: Path, log: Path) -> TritonServer:
    return TritonServer(
        ServerOptions(repository=repository, http_port=0, grpc_port=0, metrics_port=0, log_file=log / "triton.log")
    )


@pytest.fixture(scope="module")
def slow(repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """Bounds on Triton's queues, and priorities."""
    with served(repositories / "slow", tmp_path_factory.mktemp("slow")) as running:
        yield running


@pytest.fixture(scope="module")
def shedding(repositories: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    """An SLO alone: the task refuses by itself."""
    with served(repositories / "shedding", tmp_path_factory.mktemp("shedding")) as running:
        yield running


def texts_of(count: int, seed: int) -> list[str]:
    return [row["text"] * 2 for row in topic_rows(count, seed)]


def sustainable(server: TritonServer) -> float:
    """Requests/s of eight callers in a closed loop."""
    stop, answered = time.monotonic() + 2, []

    def ask(seed: int) -> None:
        with grpc.InferenceServerClient(server.grpc_address) as client:
            while time.monotonic() < stop:
                with suppress(InferenceServerException):  # refused, where the machine falters: not counted
                    client.infer("topic", [text_input(texts_of(TEXTS, seed))])
                    answered.append(seed)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answered
    return len(answered) / 2


def send_poisson(server: TritonServer, rate: float, seconds: float, priorities: Sequence[int]) -> list[Outcome]:
    """Send `rate` requests/s with exponential gaps (open loop), without waiting for replies."""
    generator, outcomes, lock = random.Random(4), list[Outcome](), threading.Lock()
    tensors = [text_input(texts_of(TEXTS, seed)) for seed in range(40)]
    with grpc.InferenceServerClient(server.grpc_address) as client:
        start = due = time.monotonic()
        sent = 0
        while due < start + seconds:
            due += generator.expovariate(rate)
            time.sleep(max(0.0, due - time.monotonic()))
            begun, priority = time.monotonic(), priorities[sent % len(priorities)]

            def record(result: Any, error: Any, begun: float = begun, priority: int = priority) -> None:
                status, message = ("", "") if error is None else (str(error.status()), error.message())
                with lock:
                    outcomes.append(Outcome(begun - start, time.monotonic() - begun, status, priority, message))

            client.async_infer("topic", [tensors[sent % len(tensors)]], record, priority=priority)
            sent += 1
        limit = time.monotonic() + 30
        while len(outcomes) < sent and time.monotonic() < limit:
            time.sleep(0.01)
    assert len(outcomes) == sent, "a request was never answered"
    return outcomes


def percentile(outcomes: Sequence[Outcome], percent: float) -> float:
    """Of the seconds."""
    return float(np.percentile([outcome.seconds for outcome in outcomes], percent))


@pytest.mark.parametrize("bounds", BOUNDS)
def test_bounds_pass_lint(repositories: Path, bounds: str) -> None:
    """Not a matter of time, so that the repositories are built beside other tests."""
    assert lint(repositories / bounds).findings == []


@pytest.mark.timing
@pytest.mark.slow
def test_a_full_queue_is_429_at_the_gateway(slow: TritonServer) -> None:
    """Of requests that fill Triton's queue some are answered, and the others are told when to come back."""
    replies: list[httpx.Response] = []
    with (
        gateway(slow.grpc_address) as url,
        httpx.Client(base_url=url, limits=httpx.Limits(max_connections=150)) as http,
    ):

        def ask(seed: int) -> None:
            replies.append(http.post("/v1/tasks/topic", json={"inputs": texts_of(32, seed)}, timeout=60))

        threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(150)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    refused = [reply for reply in replies if reply.status_code != 200]
    assert len(replies) == 150 and 0 < len(refused) < 150
    assert {reply.status_code for reply in refused} == {429}
    assert {reply.headers["retry-after"] for reply in refused} == {"1"}
    assert {reply.json()["error"]["code"] for reply in refused} == {"overloaded"}


@pytest.mark.timing
@pytest.mark.parametrize("bounds", [pytest.param("slow", marks=pytest.mark.slow), "shedding"])
def test_more_than_it_can_take(bounds: str, request: pytest.FixtureRequest) -> None:
    server: TritonServer = request.getfixturevalue(bounds)
    outcomes = send_poisson(server, 3 * sustainable(server), 5, [0])
    accepted = [o for o in outcomes if not o.status]
    refused = [o for o in outcomes if o.status]
    assert {o.status for o in refused} == {UNAVAILABLE}
    own = "more requests than the service can answer in time"
    reasons = {"slow": ("Exceeds maximum queue size", "timeout expired", own), "shedding": (own,)}
    assert not {o.message for o in refused if not any(reason in o.message for reason in reasons[bounds])}
    assert len(refused) > len(outcomes) / 4 and len(accepted) > len(outcomes) / 20
    assert percentile(accepted, 99) < 2 * SLO_MS / 1000
    soon = {"slow": 1, "shedding": 0.6}[bounds]  # without Triton's queues: when an execution ends, or the next one
    assert percentile(refused, 50) < soon * SLO_MS / 1000
    with grpc.InferenceServerClient(server.grpc_address) as client:  # and it is well again
        begun = time.monotonic()
        assert len(results(client.infer("topic", [text_input(texts_of(TEXTS, 1))]))) == TEXTS
        assert time.monotonic() - begun < 5


@pytest.mark.timing
def test_a_request_may_bring_a_shorter_timeout(slow: TritonServer) -> None:
    """Behind a long request: refused when its own time is up."""
    with grpc.InferenceServerClient(slow.grpc_address) as client:
        completed = threading.Semaphore(0)
        for seed in range(3):
            client.async_infer("topic", [text_input(texts_of(256, seed))], lambda result, error: completed.release())
        time.sleep(0.02)
        with pytest.raises(InferenceServerException, match="Request timeout expired") as caught:
            client.infer("topic", [text_input(["球队比赛"])], timeout=1)
        assert caught.value.status() == UNAVAILABLE
        assert all(completed.acquire(timeout=30) for _ in range(3))


@pytest.mark.slow
@pytest.mark.timing
def test_interactive_requests_overtake_bulk(slow: TritonServer) -> None:
    outcomes = send_poisson(slow, 2 * sustainable(slow), 5, [2, 2, 2, 1])
    answered = {p: [not o.status for o in outcomes if o.priority == p] for p in (1, 2)}
    share = {p: sum(outcomes_of_priority) / len(outcomes_of_priority) for p, outcomes_of_priority in answered.items()}
    assert share[1] > 0.75 and share[1] > share[2] + 0.25, share  # without priorities: the same share


def windows_of_32(rows: int) -> list[grpc.InferInput]:
    """Texts of 32 tokens, the task's longest window."""
    return [text_input(["球队比赛冠军进球联赛教练" * 2 + "股票基金银行"] * rows)]


def seconds_of(client: Any, model: str, tensors: list[grpc.InferInput]) -> float:
    """Of one request."""
    begun = time.monotonic()
    client.infer(model, tensors)
    return time.monotonic() - begun


@pytest.mark.timing
@pytest.mark.parametrize("rows", [256, 90])
def test_cancelled_requests_cost_the_encoder_little(server: TritonServer, rows: int) -> None:
    """A client sends eleven requests behind long ones and walks away: the encoder drops what it has not begun."""
    model, statuses = "topic_encoder_fp32", list[str]()
    blocker, tensors = windows_of_32(256), windows_of_32(rows)
    with grpc.InferenceServerClient(server.grpc_address) as client:
        blocker_seconds = min(seconds_of(client, model, blocker) for _ in range(3))

        def record_status(result: Any, error: Any) -> None:
            statuses.append("" if error is None else str(error.status()))

        before = tokens(server, REAL, model)
        for _ in range(BLOCKERS):
            client.async_infer(model, blocker, lambda result, error: None)
        time.sleep(blocker_seconds / 4)  # the first is being worked on
        calls = [client.async_infer(model, tensors, record_status) for _ in range(11)]
        time.sleep(blocker_seconds / 2)
        for call in calls:
            call.cancel()
        assert len(results(client.infer("topic", [text_input(["球队比赛"])]))) == 1
        worked = (tokens(server, REAL, model) - before) / 32 - BLOCKERS * 256
    assert "StatusCode.CANCELLED" in statuses
    assert worked < 11 * rows / 2, f"{worked:.0f} of {11 * rows} rows were worked on"


@pytest.mark.slow
@pytest.mark.timing
def test_the_command(
    shedding: TritonServer,
    build_arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The command starts its own server and sends twice the sustained rate."""
    monkeypatch.setattr(overload, "RECOVERY_SECONDS", 4.0)  # instead of 10: it was overloaded for one
    flags = dict(zip(build_arguments[::2], build_arguments[1::2], strict=False))
    command = ["overload", "--repository", str(shedding.options.repository), "--task", "topic", "--slo", f"{SLO_MS}"]
    command += ["--tasks-file", flags["--tasks-file"], "--data-dir", flags["--data-dir"], "--limit", "50"]
    assert cli.main([*command, "--factor", "2", "--seconds", "1"]) == 0, capsys.readouterr()
    report = capsys.readouterr().out
    assert f"SLO {SLO_MS} ms" in report and "refused with UNAVAILABLE" in report and "recovered after" in report
