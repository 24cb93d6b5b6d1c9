"""The client that keeps sending, against a real gRPC server."""

from __future__ import annotations

import json
import random
import time
from itertools import pairwise

import grpc
import pytest

from ernie_perf.errors import TargetError
from ernie_perf.stress.load_client import (
    BACK_OFF_SECONDS,
    UNAVAILABLE,
    LoadClient,
    Phase,
    RequestOutcome,
    _poisson_moments,
)

from ..conftest import ToyServer

ITEMS = [("今天",), ("明天",), ("昨天",)]


def client_of(server: ToyServer) -> LoadClient:
    return LoadClient(server.address, "toy_fp32", ("TEXT",), ITEMS)


@pytest.mark.timing
def test_a_closed_loop_has_as_many_requests_in_flight_as_callers(toy_server: ToyServer) -> None:
    """Never more; every answer is kept with the item it belongs to, in the order of sending."""
    toy_server.model.seconds = 0.02
    with client_of(toy_server) as client:
        outcomes = client.closed_loop(3, 0.4)
    assert toy_server.model.most == 3
    assert len(outcomes) == len(toy_server.model.texts) > 10
    assert [outcome.sent for outcome in outcomes] == sorted(outcome.sent for outcome in outcomes)
    for outcome in outcomes:
        assert outcome.answered and outcome.outputs is not None and outcome.seconds >= 0.02
        assert json.loads(outcome.outputs["RESULT"]) == ITEMS[outcome.item][0]
        assert outcome.outputs["SCORE"] == 0.5
        assert outcome.ended == outcome.sent + outcome.seconds


@pytest.mark.timing
def test_items_follow_each_other_and_start_over(toy_server: ToyServer) -> None:
    """One caller sends one item after the other."""
    with client_of(toy_server) as client:
        outcomes = client.closed_loop(1, 0.2)
    items = [outcome.item for outcome in outcomes]
    assert len(items) > 6
    assert items == [(items[0] + i) % len(ITEMS) for i in range(len(items))]
    assert toy_server.model.texts == [ITEMS[item][0] for item in items]


@pytest.mark.timing
def test_an_open_loop_does_not_wait_for_answers(toy_server: ToyServer) -> None:
    """50 requests/s at a server that takes 0.3 s: requests pile up, and all are answered."""
    toy_server.model.seconds = 0.3
    with client_of(toy_server) as client:
        outcomes = client.open_loop(Phase(rate=50, seconds=0.5))
    assert toy_server.model.most > 5
    assert outcomes and all(outcome.answered and outcome.seconds >= 0.3 for outcome in outcomes)
    assert outcomes[-1].sent < 0.6


def test_arrivals_are_poisson() -> None:
    """As many as the rate says, within four standard deviations; gaps with the deviation of their mean."""
    moments = _poisson_moments(100.0, [Phase(rate=200, seconds=10), Phase(rate=50, seconds=10)], random.Random(1))
    assert moments == sorted(moments) and moments[0] > 100.0 and moments[-1] < 120.0
    first = [moment for moment in moments if moment < 110.0]
    assert abs(len(first) - 2000) < 4 * 2000**0.5
    assert abs(len(moments) - len(first) - 500) < 4 * 500**0.5
    gaps = [after - before for before, after in pairwise(first)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert deviation == pytest.approx(mean, rel=0.15)
    assert moments == _poisson_moments(
        100.0, [Phase(rate=200, seconds=10), Phase(rate=50, seconds=10)], random.Random(1)
    )


def test_a_refusal_is_an_outcome_and_its_caller_waits(toy_server: ToyServer) -> None:
    """perf_analyzer would end here. A caller that asked again at once would send nothing but refused requests."""
    toy_server.model.refuse = lambda number: True
    with client_of(toy_server) as client:
        outcomes = client.closed_loop(2, 0.5)
    assert 2 <= len(outcomes) <= 2 * (0.5 / BACK_OFF_SECONDS + 1)
    for outcome in outcomes:
        assert not outcome.answered and outcome.status == UNAVAILABLE and outcome.outputs is None
        assert outcome.message == "Exceeds maximum queue size"


def test_another_error_ends_the_measurement(toy_server: ToyServer) -> None:
    """A bug is no refusal."""
    toy_server.model.refuse, toy_server.model.code = (lambda number: number == 2), grpc.StatusCode.INTERNAL
    with client_of(toy_server) as client, pytest.raises(TargetError, match=r"toy_fp32: StatusCode\.INTERNAL: Exceeds"):
        client.closed_loop(1, 0.3)


def test_an_answer_that_never_comes(toy_server: ToyServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client gives up in the end, and says how many it missed."""
    monkeypatch.setattr("ernie_perf.stress.load_client.ANSWER_SECONDS", 0.2)
    toy_server.model.seconds = 1.0
    with client_of(toy_server) as client:
        with pytest.raises(TargetError, match=r"[1-9]\d* of [1-9]\d* requests were not answered in 0 s"):
            client.open_loop(Phase(rate=20, seconds=0.5))
        time.sleep(1.2)  # for the answers in flight


def test_outcomes_name_their_fields() -> None:
    """Six numbers in a row would be mixed up."""
    with pytest.raises(TypeError):
        RequestOutcome(0.1, 0.2, 3)  # type: ignore[misc]
