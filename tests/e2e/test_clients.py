"""Both clients over both protocols, on the real server: answers, order, errors, cancellation, restarts."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import aclosing
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer
from ernie_triton import (
    AsyncClient,
    ClassificationResult,
    Client,
    ErnieTritonError,
    InvalidText,
    Reply,
    Retry,
    ServerTimeout,
    ServerUnavailable,
    TextError,
    UnknownTask,
    WrongKind,
)
from ernie_triton.lookup import Configuration, Query

pytestmark = pytest.mark.e2e

TEXTS = ["球队赢得比赛冠军", "银行下调利率，股票市场上涨", "餐厅的米饭味道"]
SENTENCE = "中共中央致中国致公党十一大的贺词"
PROTOCOLS = ["grpc", "http"]


def url_of(server: TritonServer, protocol: str) -> str:
    """The address to give to a client."""
    return server.grpc_address if protocol == "grpc" else f"http://{server.http_address}"


def numbered(count: int) -> Iterator[str]:
    """Texts whose number of tokens tells neighbours apart."""
    return ("球" * (1 + i % 29) for i in range(count))


def in_order(replies: list[Reply | TextError], count: int) -> bool:
    """Whether these are the answers to `numbered(count)`, each once and in its place."""
    return [reply.raw.get("tokens") for reply in replies] == [1 + i % 29 for i in range(count)]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_both_clients_answer_alike(server: TritonServer, protocol: str) -> None:
    async def ask() -> list[Any]:
        async with AsyncClient(url_of(server, protocol)) as client:
            return [
                await client.classify("topic", TEXTS),
                await client.entities("ner", {"text": SENTENCE}, offsets="utf16"),
                await client.predict("topic", ["球队", ""], on_error="return", headers={"traceparent": "00-1"}),
                [task.name for task in await client.tasks()],
                [await client.live(), await client.ready(), await client.ready("topic"), await client.ready("nothing")],
            ]

    with Client(url_of(server, protocol)) as client:
        answers = [
            client.classify("topic", TEXTS),
            client.entities("ner", {"text": SENTENCE}, offsets="utf16"),
            client.predict("topic", ["球队", ""], on_error="return"),
            [task.name for task in client.tasks()],
            [client.live(), client.ready(), client.ready("topic"), client.ready("nothing")],
        ]
    assert answers == asyncio.run(ask())
    labels, (entities,), (sport, bad), names, ready = answers
    assert [result.label for result in labels] == ["sport", "money", "food"]
    assert entities.sent == (SENTENCE,) and entities.raw["unit"] == "utf16"
    assert isinstance(sport, ClassificationResult) and bad == TextError(1, "the text is empty")
    assert names == ["ner", "topic"]
    assert ready == [True, True, True, False]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_what_is_wrong_is_an_error_of_this_package(server: TritonServer, protocol: str) -> None:
    with Client(url_of(server, protocol)) as client:
        with pytest.raises(WrongKind, match="task ner is of kind token_classification and gives EntitiesResult, not C"):
            client.classify("ner", SENTENCE)
        with pytest.raises(UnknownTask, match="did you mean topic"):
            client.classify("topik", "球队")
        with pytest.raises(InvalidText, match="item 1: the text is empty") as refused:
            client.classify("topic", ["球队", ""])
        assert refused.value.items == ((1, "the text is empty"),)
        assert client.task("Topics, made up for the tests").name == "topic"
        with pytest.raises(ServerTimeout, match="did not answer within 1e-06 s"):
            client.classify("topic", ["球队"] * 200, timeout=1e-6)  # not answered before a slow client looks for it
    with pytest.raises(ErnieTritonError, match="the client is closed"):
        client.classify("topic", "球队")


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_the_first_call_asks_about_one_task(
    server: TritonServer, protocol: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    queries: list[Query] = []
    with Client(url_of(server, protocol)) as client:
        ask = client._transport.ask

        def count(query: Query) -> Any:
            queries.append(query)
            return ask(query)

        monkeypatch.setattr(client._transport, "ask", count)
        client.classify("topic", TEXTS)
        client.classify("topic", TEXTS)
    assert queries == [Configuration("topic")]


def test_ten_thousand_texts_in_order_blocking(server: TritonServer) -> None:
    with Client(url_of(server, "http")) as client:
        assert in_order(list(client.stream("topic", numbered(10_000), batch_size=256)), 10_000)


def test_ten_thousand_texts_in_order_with_asyncio(server: TritonServer) -> None:
    """They come from an asynchronous iterable, as from a request's body."""

    async def texts() -> AsyncIterator[str]:
        for text in numbered(10_000):
            yield text

    async def ask() -> list[Reply | TextError]:
        async with AsyncClient(url_of(server, "grpc")) as client:
            return [reply async for reply in client.stream("topic", texts(), batch_size=256, numeric=True)]

    replies = asyncio.run(ask())
    assert in_order(replies, 10_000)
    assert isinstance(replies[0], Reply) and replies[0].numeric["SCORE"].dtype == np.float32


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_a_caller_that_goes_away_cancels_its_requests(server: TritonServer, protocol: str) -> None:
    """A cancelled task ends at once; so does a stream that is closed; the client answers others as before."""

    async def ask() -> None:
        async with AsyncClient(url_of(server, protocol)) as client:
            assert await client.ready("topic")
            calls = [asyncio.ensure_future(client.predict("topic", list(numbered(4_000)))) for _ in range(4)]
            await asyncio.sleep(0.2)
            for call in calls:
                call.cancel()
            began = time.monotonic()
            ended = await asyncio.gather(*calls, return_exceptions=True)
            assert [type(error) for error in ended] == [asyncio.CancelledError] * len(calls)
            async with aclosing(client.stream("topic", numbered(10**9))) as replies:
                async for reply in replies:
                    assert reply.raw["tokens"] == 1
                    break
            assert [result.label for result in await client.classify("topic", TEXTS)] == ["sport", "money", "food"]
            assert time.monotonic() - began < 10  # all of the texts would take longer than anyone waits

    asyncio.run(ask())


def test_threads_and_tasks_share_a_client(server: TritonServer) -> None:
    expected = ["sport", "money", "food"]

    async def ask() -> list[list[ClassificationResult]]:
        async with AsyncClient(url_of(server, "grpc")) as client:
            return await asyncio.gather(*(client.classify("topic", TEXTS) for _ in range(50)))

    assert [[result.label for result in results] for results in asyncio.run(ask())] == [expected] * 50
    answers: list[list[str]] = []
    with Client(url_of(server, "http")) as client:

        def work() -> None:
            answers.append([result.label for result in client.classify("topic", TEXTS)])

        threads = [threading.Thread(target=work) for _ in range(20)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert answers == [expected] * 20


@pytest.mark.parametrize("url", ["127.0.0.1:9", "http://127.0.0.1:9"])
def test_no_server(url: str) -> None:
    with Client(url, retry=Retry(attempts=2, first=0.05)) as client:
        assert not client.live() and not client.ready()
        with pytest.raises(ServerUnavailable, match=r"no Triton server answers at .*127\.0\.0\.1:9, which must be its"):
            client.classify("topic", "球队")


@pytest.mark.slow
def test_a_server_killed_and_started_again_mid_run(repository: Path, tmp_path: Path) -> None:
    """Streams over both protocols wait for it; no answer is lost, none comes twice, all stay in order."""
    options = ServerOptions(
        repository=repository, http_port=0, grpc_port=0, metrics_port=0, log_file=tmp_path / "first.log"
    )
    count = 4_000
    streamed: dict[str, list[Reply | TextError]] = {"grpc": [], "http": []}
    failures: list[Exception] = []
    patient = Retry(attempts=5, first=1.0, longest=10.0, multiplier=3.0)

    async def over_grpc(url: str) -> None:
        async with AsyncClient(url, retry=patient, wait_for_ready=True) as client:
            async for reply in client.stream("topic", numbered(count)):
                streamed["grpc"].append(reply)

    def over_http(url: str) -> None:
        with Client(url, retry=patient) as client:
            streamed["http"].extend(client.stream("topic", numbered(count)))

    def start(work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            try:
                work()
            except Exception as error:
                failures.append(error)

        thread = threading.Thread(target=run)
        thread.start()
        return thread

    first = TritonServer(options)
    first.start()
    try:
        first.wait_ready()
        threads = [
            start(lambda: asyncio.run(over_grpc(url_of(first, "grpc")))),
            start(lambda: over_http(url_of(first, "http"))),
        ]
        while len(streamed["grpc"]) < 500 or not threads[1].is_alive():
            assert not failures and threads[0].is_alive(), failures
            time.sleep(0.01)
    finally:
        first.kill()
    assert len(streamed["grpc"]) < count
    with TritonServer(replace(first.options, log_file=tmp_path / "second.log")):
        for thread in threads:
            thread.join(120)
    assert failures == []
    assert all(in_order(replies, count) for replies in streamed.values())
