"""Answers through the real server: right, to the right caller, in batches; bad input fails alone."""

from __future__ import annotations

import json
import random
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tritonclient.grpc as grpc
from tritonclient.utils import InferenceServerException

from ernie_runtime.steps.pipeline import Pipeline
from ernie_serve.options import ServerOptions
from ernie_serve.server import TritonServer

from .conftest import topic_rows
from .packed import check_packed
from .wire import close, results, text_input

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def client(server: TritonServer) -> Any:
    with grpc.InferenceServerClient(server.grpc_address) as connected:
        yield connected


def expected(pipeline: Pipeline, texts: list[str]) -> list[dict[str, Any]]:
    answers = pipeline.predict([(t,) for t in texts])
    return [answer.result for answer in answers if not isinstance(answer, str)]


def real_sentences(count: int) -> list[str]:
    """Mixed lengths, up to several windows."""
    generator = random.Random(5)
    pieces = [row["text"] for row in topic_rows(200, seed=9)] + [
        "ＡＢＣ　１２３",
        "😀👨‍👩‍👧",
        "café",
        "18866668888",
        "  ",
    ]
    return ["".join(generator.choices(pieces, k=generator.choice([1, 1, 2, 3, 12]))) + "完" for _ in range(count)]


@pytest.mark.parametrize("task", ["topic", "ner"])
def test_answers_equal_the_runtime(client: Any, pipelines: dict[str, Pipeline], task: str) -> None:
    texts = real_sentences(60)
    served = [r for i in range(0, 60, 20) for r in results(client.infer(task, [text_input(texts[i : i + 20])]))]
    for text, result, answer in zip(texts, served, expected(pipelines[task], texts), strict=True):
        assert close(result, answer), text
        for entity in result.get("entities", []):
            assert text[entity["start"] : entity["end"]] == entity["text"]


def test_the_tiny_model_has_learnt(client: Any, repository: Path) -> None:
    rows = topic_rows(90, seed=77)
    reply = client.infer("topic", [text_input([row["text"] for row in rows])])
    right = sum(r["label"] == row["label"] for r, row in zip(results(reply), rows, strict=True))
    assert right >= 80
    manifest = json.loads((repository / "topic" / "1" / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["variants"][0]["evaluations"][0]["metrics"]["accuracy"] >= 90


def test_numeric_outputs_agree_with_result(client: Any) -> None:
    reply = client.infer("topic", [text_input(["球队比赛", "银行利率"])])
    labels = ["sport", "money", "food"]
    for row, label, score in zip(results(reply), reply.as_numpy("LABEL_ID"), reply.as_numpy("SCORE"), strict=True):
        assert labels[int(label[0])] == row["label"]
        assert abs(float(score[0]) - row["score"]) < 1e-5


@pytest.mark.timing  # where callers are starved there is less to batch
def test_answers_go_to_the_right_caller_in_real_batches(
    server: TritonServer, client: Any, pipelines: dict[str, Pipeline]
) -> None:
    texts = real_sentences(640)
    expected_answers = expected(pipelines["topic"], texts)
    before = encoder_counts(client)

    def ask(start: int) -> list[dict[str, Any]]:
        with grpc.InferenceServerClient(server.grpc_address) as connection:
            return [
                results(connection.infer("topic", [text_input([texts[i]])]))[0] for i in range(start, len(texts), 64)
            ]

    with ThreadPoolExecutor(64) as pool:
        answers = list(pool.map(ask, range(64)))
    for start, caller_answers in enumerate(answers):
        for position, answer in enumerate(caller_answers):
            assert close(answer, expected_answers[start + 64 * position]), texts[start + 64 * position]
    after = encoder_counts(client)
    assert (after[0] - before[0]) / (after[1] - before[1]) >= 4


def encoder_counts(client: Any) -> tuple[int, int]:
    """(inferences, executions) of the encoder."""
    row = client.get_inference_statistics("topic_encoder_fp32").model_stats[0]
    return row.inference_count, row.execution_count


BAD_TEXTS = {
    "empty": (b"", "empty"),
    "spaces": (" \t　\n".encode(), "only spaces"),
    "control": (b"\x00\x01\x1f", "control characters"),
    "utf8": (b"\xe4\xb8\xad\xff\xfe", "not UTF-8"),
    "surrogate": (b"\xed\xa0\x80", "not UTF-8"),
    "megabyte": ("长" * 350_000, "characters"),
}


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_bad_text_fails_with_its_reason(client: Any, name: str) -> None:
    raw, reason = BAD_TEXTS[name]
    with pytest.raises(InferenceServerException) as caught:
        client.infer("ner", [text_input([raw])])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"
    assert "item 0" in caught.value.message() and reason in caught.value.message()
    assert "Traceback" not in caught.value.message()


@pytest.mark.parametrize("name", BAD_TEXTS)
def test_a_bad_item_leaves_the_others_alone(client: Any, pipelines: dict[str, Pipeline], name: str) -> None:
    raw, reason = BAD_TEXTS[name]
    reply = client.infer("topic", [text_input(["球队比赛", raw, "银行利率"])])
    first, error, last = results(reply)
    assert error["error"]["code"] == "INVALID_ARG"
    assert "item 1" in error["error"]["message"] and reason in error["error"]["message"]
    assert reply.as_numpy("LABEL_ID")[1, 0] == -1
    for result, answer in zip((first, last), expected(pipelines["topic"], ["球队比赛", "银行利率"]), strict=True):
        assert close(result, answer)


def test_bad_requests_beside_good_ones(server: TritonServer, pipelines: dict[str, Pipeline]) -> None:
    """64 callers at once, every fourth with a bad text."""
    texts = real_sentences(64)
    expected_answers = expected(pipelines["ner"], texts)

    def ask(i: int) -> Any:
        with grpc.InferenceServerClient(server.grpc_address) as connection:
            try:
                return results(connection.infer("ner", [text_input([b"\xff" if i % 4 == 0 else texts[i]])]))[0]
            except InferenceServerException as error:
                return error.status()

    with ThreadPoolExecutor(64) as pool:
        for i, answer in enumerate(pool.map(ask, range(64))):
            if i % 4 == 0:
                assert answer == "StatusCode.INVALID_ARGUMENT"
            else:
                assert close(answer, expected_answers[i])


def test_nul_and_control_characters_inside_a_text_are_no_fault(client: Any) -> None:
    text = "球\x00队\x01比​赛"
    (row,) = results(client.infer("topic", [text_input([text])]))
    assert row["label"] == "sport" and row["tokens"] == 4


def test_a_long_text_says_its_windows(client: Any) -> None:
    (row,) = results(client.infer("topic", [text_input(["球队比赛" * 100])]))
    assert row["label"] == "sport" and row["tokens"] == 400 and row["windows"] == 20 and not row["truncated"]


def test_too_many_windows_in_one_request(client: Any) -> None:
    with pytest.raises(InferenceServerException, match="send fewer texts at once") as caught:
        client.infer("topic", [text_input(["球队比赛" * 400] * 30)])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT"


def wrong_requests() -> dict[str, list[grpc.InferInput]]:
    numbers = grpc.InferInput("TEXT", [1, 1], "INT64")
    numbers.set_data_from_numpy(np.zeros((1, 1), np.int64))
    wide = grpc.InferInput("TEXT", [1, 2], "BYTES")
    wide.set_data_from_numpy(np.array([[b"a", b"b"]], dtype=object))
    flat = grpc.InferInput("TEXT", [1], "BYTES")
    flat.set_data_from_numpy(np.array([b"a"], dtype=object))
    none = grpc.InferInput("TEXT", [0, 1], "BYTES")
    none.set_data_from_numpy(np.zeros((0, 1), dtype=object))
    return {
        "dtype": [numbers],
        "shape": [wide],
        "rank": [flat],
        "no items": [none],
        "missing": [],
        "another name": [text_input(["a"], "TEXTS")],
        "one too many": [text_input(["a"]), text_input(["b"], "OTHER")],
        "too many texts": [text_input(["a"] * 257)],
    }


@pytest.mark.parametrize("name", wrong_requests())
def test_a_wrong_request_is_refused_and_the_server_stays(client: Any, name: str) -> None:
    with pytest.raises(InferenceServerException) as caught:
        client.infer("topic", wrong_requests()[name])
    assert caught.value.status() == "StatusCode.INVALID_ARGUMENT", caught.value.message()
    assert results(client.infer("topic", [text_input(["球队比赛"])]))[0]["label"] == "sport"


def test_http_reports_400(server: TritonServer) -> None:
    body = {"inputs": [{"name": "TEXT", "datatype": "BYTES", "shape": [1, 1], "data": [""]}]}
    request = urllib.request.Request(f"http://{server.http_address}/v2/models/ner/infer", json.dumps(body).encode())
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    with caught.value as reply:
        assert reply.code == 400 and "item 0: the text is empty" in json.loads(reply.read())["error"]


def test_the_portable_configuration_gives_the_same_answers(
    repository: Path, pipelines: dict[str, Pipeline], tmp_path: Path
) -> None:
    """config.pbtxt without --model-config-name, as on NVIDIA's image: padding to buckets."""
    texts = [t for t in real_sentences(80) if len(t) < 300]
    options = ServerOptions(
        repository=repository, http_port=0, grpc_port=0, metrics_port=0, config_name=None, log_file=tmp_path / "log"
    )
    with TritonServer(options) as running, grpc.InferenceServerClient(running.grpc_address) as client:
        for task in ("topic", "ner"):
            expected_answers = expected(pipelines[task], texts)
            for text, answer in zip(texts, expected_answers, strict=True):
                assert close(results(client.infer(task, [text_input([text])]))[0], answer), text


@pytest.mark.parametrize("task", ["topic", "ner"])
def test_packed_graphs_answer_the_same(repository: Path, task: str) -> None:
    check_packed(repository, task, [(text,) for text in real_sentences(12)])
