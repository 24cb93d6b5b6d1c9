"""A task in one process answers the bytes that its three processes answer; what is published stays whole."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from ernie_builders.lint.repository import lint
from ernie_runtime.triton.metrics import REAL
from ernie_serve.server import ServerOptions, TritonServer
from ernie_triton import Client

from .conftest import topic_rows
from .test_metrics import tokens
from .test_serving import BAD_TEXTS, real_sentences, wrong_requests
from .wire import close, results, same_bytes, text_input

pytestmark = pytest.mark.e2e
TASKS = ("topic", "ner")


@pytest.fixture(scope="module")
def server(fused: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonServer]:
    log = tmp_path_factory.mktemp("fused_log") / "triton.log"
    with TritonServer(
        ServerOptions(repository=fused, http_port=0, grpc_port=0, metrics_port=0, log_file=log)
    ) as running:
        yield running


@pytest.fixture(scope="module")
def client(server: TritonServer) -> Any:
    with grpc.InferenceServerClient(server.grpc_address) as connected:
        yield connected


def assert_same_reply(client: Any, task: str, texts: list[Any]) -> None:
    """Ask the ensemble and the fused model for the same request, and compare every output."""
    ensemble_reply, fused_reply = (client.infer(model, [text_input(texts)]) for model in (task, f"{task}_fused"))
    assert same_bytes(ensemble_reply, fused_reply), texts


@pytest.mark.parametrize("task", TASKS)
def test_the_same_bytes(client: Any, task: str) -> None:
    texts = real_sentences(60)
    for text in texts[:20]:
        assert_same_reply(client, task, [text])
    assert_same_reply(client, task, texts)
    assert_same_reply(client, task, ["球队比赛" * 100, "银行利率", "ＡＢＣ　１２３😀"])


def test_positions_in_utf16_units(client: Any) -> None:
    """As JavaScript and Java count; every request has its own unit, also in one batch."""
    texts = ["😀😀" + text for text in real_sentences(8)]
    for model in ("ner", "ner_fused"):
        plain = results(client.infer(model, [text_input(texts)]))
        asked = results(client.infer(model, [text_input(texts)], parameters={"offsets": "utf16"}))
        assert sum(len(result["entities"]) for result in plain) > 4
        for text, before, after in zip(texts, plain, asked, strict=True):
            units = text.encode("utf-16-le")
            assert after["unit"] == "utf16" and "unit" not in before
            assert len(after["entities"]) == len(before["entities"])
            for entity in after["entities"]:
                assert units[2 * entity["start"] : 2 * entity["end"]].decode("utf-16-le") == entity["text"]
        with pytest.raises(
            InferenceServerException, match="offsets is 'bytes'; it must be characters or utf16"
        ) as error:
            client.infer(model, [text_input(texts)], parameters={"offsets": "bytes"})
        assert error.value.status() == "StatusCode.INVALID_ARGUMENT"


@pytest.mark.parametrize("task", TASKS)
@pytest.mark.parametrize("name", BAD_TEXTS)
def test_the_same_refusals(client: Any, task: str, name: str) -> None:
    raw, reason = BAD_TEXTS[name]
    assert_same_reply(client, task, ["球队比赛", raw, "银行利率"])
    messages = []
    for model in (task, f"{task}_fused"):
        with pytest.raises(InferenceServerException) as caught:
            client.infer(model, [text_input([raw])])
        assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
        messages.append(caught.value.message().removeprefix(f"in ensemble '{task}', "))
    assert messages[0] == messages[1] and reason in messages[0]


def test_too_many_windows_are_refused_alone(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="send fewer texts at once") as caught:
        client.infer("topic_fused", [text_input(["球队比赛" * 400] * 30)])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert_same_reply(client, "topic", ["球队比赛"])


@pytest.mark.parametrize("name", wrong_requests())
def test_wrong_requests_are_refused(client: Any, name: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("topic_fused", wrong_requests()[name])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT", caught.value.message()


def test_concurrent_requests_share_executions(server: TritonServer, client: Any) -> None:
    texts = real_sentences(320)
    expected = [
        result for i in range(0, 320, 64) for result in results(client.infer("topic", [text_input(texts[i : i + 64])]))
    ]
    before = client.get_inference_statistics("topic_fused").model_stats[0]
    counted = tokens(server, REAL, "topic_fused")

    def ask(start: int) -> list[Any]:
        """Every third request is refused, beside good ones."""
        answers = []
        with grpc.InferenceServerClient(server.grpc_address) as connection:
            for i in range(start, len(texts), 32):
                if i % 3 == 0:
                    with pytest.raises(InferenceServerException, match="item 0"):
                        connection.infer("topic_fused", [text_input([b"\xff"])])
                answers.append((i, results(connection.infer("topic_fused", [text_input([texts[i]])]))[0]))
        return answers

    with ThreadPoolExecutor(32) as pool:
        answers = dict(pair for part in pool.map(ask, range(32)) for pair in part)
    assert len(answers) == len(texts)
    for i, answer in answers.items():
        assert close(answer, expected[i]), texts[i]
    after = client.get_inference_statistics("topic_fused").model_stats[0]
    assert after.inference_count - before.inference_count >= 320
    # How many requests share an execution depends on the client's speed: the test asks only that some do.
    assert (after.inference_count - before.inference_count) / (after.execution_count - before.execution_count) >= 1.2
    assert tokens(server, REAL, "topic_fused") - counted >= 320 * 3  # [CLS], a character, [SEP]


def test_clients_see_a_fused_model_as_a_task(server: TritonServer) -> None:
    rows = topic_rows(30, seed=77)
    with Client(server.grpc_address) as client:
        assert [task.name for task in client.tasks()] == ["ner", "ner_fused", "topic", "topic_fused"]
        ensemble, fused_results = (
            client.predict(task, [row["text"] for row in rows]) for task in ("topic", "topic_fused")
        )
    assert ensemble == fused_results
    assert sum(result.label == row["label"] for result, row in zip(fused_results, rows, strict=True)) >= 25


def test_it_holds_no_weights_and_passes_lint(fused: Path) -> None:
    assert lint(fused)[0] == []
    files = {path.name for path in (fused / "topic_fused" / "1").iterdir()}
    assert files == {"manifest.json", "published"}


def test_a_fused_model_serves_without_its_ensemble(fused: Path, tmp_path: Path) -> None:
    options = ServerOptions(
        repository=fused,
        http_port=0,
        grpc_port=0,
        metrics_port=0,
        log_file=tmp_path / "triton.log",
        extra=("--model-control-mode=explicit", "--load-model=topic_fused"),
    )
    with TritonServer(options) as server, Client(server.grpc_address) as client:
        assert [task.name for task in client.tasks()] == ["topic_fused"]
        assert client.predict("topic_fused", ["球队赢得比赛"])[0].label == "sport"
