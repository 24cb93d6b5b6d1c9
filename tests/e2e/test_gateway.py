"""The REST gateway before the real server: answers, refusals, streams, keys, callers that misbehave."""

from __future__ import annotations

import contextlib
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest

from ernie_gateway import keys
from ernie_perf.peers.closed_loop import closed_loop, http_request
from ernie_serve.server import TritonServer
from ernie_triton import Client, TextError

from .conftest import topic_rows
from .gateways import gateway, gateway_process

pytestmark = pytest.mark.e2e
STREAM = (
    b"POST /v1/tasks/topic HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\n"
    b"Transfer-Encoding: chunked\r\n\r\n"
)
TEXTS = ["球队赢得比赛", "银行下调利率", "餐厅的味道😀"]


@pytest.fixture(scope="module")
def address(server: TritonServer) -> Iterator[str]:
    with gateway(server.grpc_address, max_items=20, max_body=20_000, body_timeout=1.0) as url:
        yield url


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, trust_env=False, timeout=30) as client:
        yield client


def raw_connection(address: str) -> socket.socket:
    place = urlsplit(address)
    return socket.create_connection((place.hostname, place.port), timeout=30)


def error_of(response: httpx.Response) -> Any:
    """The error of a refused request, which is a line."""
    error = response.json()["error"]
    assert "\n" not in error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    return error


@pytest.mark.parametrize("task", ["topic", "ner"])
def test_answers_are_those_of_the_client(server: TritonServer, http: httpx.Client, task: str) -> None:
    with Client(server.grpc_address) as client:
        expected = [dict(result.raw) for result in client.predict(task, TEXTS)]
    forms: list[Any] = [TEXTS, [{"text": text} for text in TEXTS], [[text] for text in TEXTS]]
    for inputs in forms:
        reply = http.post(f"/v1/tasks/{task}", json={"inputs": inputs})
        assert reply.status_code == 200
        assert reply.json()["answers"] == expected
        assert reply.json()["variant"] == "fp32"


def test_tasks_are_listed_with_what_a_caller_needs(http: httpx.Client) -> None:
    listed = {task["name"]: task for task in http.get("/v1/tasks").json()["tasks"]}
    assert set(listed) == {"topic", "ner"}
    assert listed["topic"]["inputs"] == ["text"]
    assert listed["topic"]["labels"] == ["sport", "money", "food"]
    assert listed["topic"]["examples"] == ["球队赢得比赛", "银行下调利率"]
    assert http.get("/v1/tasks/topic").json() == listed["topic"]
    assert [model["id"] for model in http.get("/v1/models").json()["data"]] == ["ner", "topic"]


def test_a_bad_item_fails_alone(http: httpx.Client) -> None:
    reply = http.post("/v1/tasks/topic", json={"inputs": ["球队", "", 7, {"txt": "a"}, "银行"]})
    answers = reply.json()["answers"]
    assert reply.status_code == 200
    assert ["error" in answer for answer in answers] == [False, True, True, True, False]
    assert answers[1]["error"] == {"code": "INVALID_ARG", "message": "the text is empty"}
    assert answers[3]["error"]["message"] == 'no "text" among its keys (txt); topic takes a string or {"text": "..."}'


@pytest.mark.parametrize(
    ("path", "body", "status", "words"),
    [
        ("/v1/tasks/topic", "{", 400, "not JSON"),
        ("/v1/tasks/topic", "", 400, "it is empty"),
        ("/v1/tasks/topic", '{"inputs": "a", "inputs": "b"}', 400, "several values under the key 'inputs'"),
        ("/v1/tasks/topic", '{"inputs": NaN}', 400, "NaN is no number"),
        ("/v1/tasks/topic", b'{"inputs": "\xff"}', 400, "not JSON"),
        ("/v1/tasks/topic", "[" * 5000, 400, "not JSON"),
        ("/v1/tasks/topik", "{}", 404, "did you mean topic?"),
        ("/v1/tasks", "{}", 405, "POST is not for /v1/tasks; GET is"),
        ("/v1/task", "{}", 404, "there is no /v1/task; did you mean /v1/tasks"),
        ("/v1/tasks/topic", "[]", 422, 'send {"inputs": ["球队赢得比赛"]}'),
        ("/v1/tasks/topic", "{}", 422, "'inputs' is missing"),
        ("/v1/tasks/topic", '{"input": "a"}', 422, "unknown field 'input'; did you mean inputs?"),
        ("/v1/tasks/topic", '{"inputs": ["", " "]}', 422, "item 0: the text is empty (and 1 more)"),
        ("/v1/tasks/topic", '{"inputs": "a", "variant": "fp31"}', 422, "it has fp32; did you mean fp32?"),
        ("/v1/tasks/topic", '{"inputs": "a", "variant": 8}', 422, "variant must be a string, not a number"),
        ("/v1/tasks/topic", '{"inputs": "a", "dimensions": 3}', 422, "gives no vectors"),
        ("/v1/tasks/topic", '{"inputs": "a", "offsets": "bytes"}', 422, "utf16"),
        ("/v1/tasks/topic", json.dumps({"inputs": ["a"] * 21}), 413, "21 items in a request; the limit is 20"),
        ("/v1/tasks/topic", json.dumps({"inputs": "a" * 20_001}), 413, "application/x-ndjson"),
        ("/v1/embeddings", '{"input": "a", "model": "topic"}', 422, "the kind sequence_classification"),
        ("/v1/embeddings", '{"input": "a"}', 422, "'model' is missing"),
        ("/v1/embeddings", '{"input": [[1, 2]], "model": "topic"}', 422, "check_embedding_ctx_length=False"),
        ("/v1/rerank", '{"query": "a", "documents": []}', 422, "not an empty list"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_what_is_wanted(
    http: httpx.Client, path: str, body: str | bytes, status: int, words: str
) -> None:
    response = http.post(path, content=body)
    assert response.status_code == status
    assert words in error_of(response)["message"]


def test_lines_are_answered_in_order_with_their_numbers(http: httpx.Client) -> None:
    lines = [
        '"球队赢得比赛"',
        "",
        '{"text": "银行下调利率"}',
        "{bad",
        '""',
        *(json.dumps(f"第{n}场比赛") for n in range(200)),
    ]
    headers = {"content-type": "application/x-ndjson"}
    reply = http.post("/v1/tasks/topic", content="\n".join(lines).encode(), headers=headers)
    answers = [json.loads(line) for line in reply.text.splitlines()]
    assert reply.headers["content-type"] == "application/x-ndjson"
    assert [answer["line"] for answer in answers] == [n for n in range(1, len(lines) + 1) if n != 2]
    assert [answer["line"] for answer in answers if "error" in answer] == [4, 5]
    assert answers[0]["label"] in ("sport", "money", "food")


def test_a_stream_answers_before_its_body_has_ended(address: str) -> None:
    with raw_connection(address) as caller:
        caller.sendall(STREAM + chunk('"球队"\n'))
        assert b'"line":1' in read_until(caller, b'"line":1')
        caller.sendall(chunk('"银行"') + b"0\r\n\r\n")
        assert b'"line":2' in read_until(caller, b"0\r\n\r\n")


def chunk(text: str) -> bytes:
    return b"%x\r\n%b\r\n" % (len(text.encode()), text.encode())


def read_until(caller: socket.socket, end: bytes) -> bytes:
    received = b""
    while end not in received:
        part = caller.recv(65536)
        assert part, received
        received += part
    return received


def test_ten_thousand_texts_keep_their_order(server: TritonServer, http: httpx.Client) -> None:
    rows = [row["text"] for row in topic_rows(10_000, seed=9)]
    lines = b"".join(json.dumps(text).encode() + b"\n" for text in rows)
    headers = {"content-type": "application/x-ndjson"}
    reply = http.post("/v1/tasks/topic", content=lines, headers=headers, timeout=120)
    answers = [json.loads(line) for line in reply.text.splitlines()]
    assert [answer["line"] for answer in answers] == list(range(1, 10_001))
    with Client(server.grpc_address) as client:
        some = client.predict("topic", rows[::50])
    assert [answer["label"] for answer in answers[::50]] == [result.raw["label"] for result in some]


def test_callers_at_the_same_time_share_requests_and_nothing_else(server: TritonServer, address: str) -> None:
    long, texts = "长" * 2001, [f"第{n}场😀比赛" for n in range(12)]
    bodies: list[dict[str, Any]] = []
    for text in texts:  # of other options, and with an item that Triton refuses
        bodies += [{"inputs": text}, {"inputs": text, "offsets": "utf16"}, {"inputs": [long, text]}]
    with Client(server.grpc_address) as client:
        plain, wide = (client.predict("ner", texts, offsets=offsets) for offsets in ("characters", "utf16"))
        refused = client.predict("ner", [long], on_error="return")[0]
    host = address.removeprefix("http://")
    before = sent_to_triton(address, "ner")
    sent = [http_request(host, "/v1/tasks/ner", json.dumps(body).encode()) for body in bodies]
    answers = [json.loads(answer)["answers"] for answer in closed_loop(host, sent, len(sent)).answers]
    assert isinstance(refused, TextError)
    for number in range(len(texts)):
        assert answers[3 * number] == [dict(plain[number].raw)]
        assert answers[3 * number + 1] == [dict(wide[number].raw)]
        error, answer = answers[3 * number + 2]
        assert error["error"]["message"] == refused.reason
        assert answer == dict(plain[number].raw)
    requests, rows = (now - then for now, then in zip(sent_to_triton(address, "ner"), before, strict=True))
    assert rows == 4 * len(texts)
    assert requests < len(bodies)  # how much fewer depends on how fast they come
    assert 'model="topic"' in httpx.get(f"{address}/metrics").text  # by model


def sent_to_triton(address: str, model: str) -> tuple[float, float]:
    """Requests to Triton so far, and the texts in them."""
    lines = dict(line.rsplit(" ", 1) for line in httpx.get(f"{address}/metrics").text.splitlines())
    name = "ernie_gateway_triton_request_rows"
    return tuple(float(lines.get(f'{name}_{figure}{{model="{model}"}}', 0)) for figure in ("count", "sum"))  # type: ignore[return-value]


def test_the_page_and_the_probes_need_no_key(server: TritonServer, tmp_path: Path) -> None:
    key = keys.add(tmp_path / "keys", "web")
    with gateway(server.grpc_address, keys_file=str(tmp_path / "keys")) as url, httpx.Client(base_url=url) as caller:
        assert [caller.get(path).status_code for path in ("/", "/healthz", "/readyz", "/metrics")] == [200] * 4
        refused = caller.post("/v1/tasks/topic", json={"inputs": "a"})
        assert (refused.status_code, refused.headers["www-authenticate"]) == (401, "Bearer")
        good = {"authorization": f"Bearer {key}"}
        assert caller.post("/v1/tasks/topic", json={"inputs": "a"}, headers=good).status_code == 200


def test_pages_of_others_may_ask_only_where_that_is_set(server: TritonServer, http: httpx.Client) -> None:
    headers = {"origin": "https://example.org", "access-control-request-method": "POST"}
    assert "access-control-allow-origin" not in http.get("/v1/tasks", headers=headers).headers
    assert http.options("/v1/tasks/topic", headers=headers).status_code == 405
    with gateway(server.grpc_address, origins=("https://example.org",)) as url:
        allowed = httpx.options(f"{url}/v1/tasks/topic", headers=headers)
        assert allowed.headers["access-control-allow-origin"] == "https://example.org"
        other = httpx.get(f"{url}/v1/tasks", headers={"origin": "https://example.com"})
        assert "access-control-allow-origin" not in other.headers


def test_no_server_and_no_time_are_told_apart(server: TritonServer) -> None:
    with gateway("127.0.0.1:1", timeout=5.0) as url:
        assert httpx.get(f"{url}/healthz").status_code == 200
        assert httpx.get(f"{url}/readyz").status_code == 503
        refused = httpx.post(f"{url}/v1/tasks/topic", json={"inputs": "a"})
        assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
        assert "127.0.0.1" not in error_of(refused)["message"]
    with gateway(server.grpc_address, timeout=0.0001) as url:
        late = httpx.post(f"{url}/v1/tasks/topic", json={"inputs": "a"})
        assert (late.status_code, error_of(late)["code"]) == (504, "deadline")


def test_more_requests_than_it_takes_are_told_to_come_back(server: TritonServer) -> None:
    with gateway(server.grpc_address, max_requests=1) as url, raw_connection(url) as caller:
        caller.sendall(STREAM + chunk('"球队"\n'))
        read_until(caller, b'"line":1')  # this stream stays open
        refused = httpx.get(f"{url}/v1/tasks")
        assert (refused.status_code, refused.headers["retry-after"]) == (429, "1")
        assert httpx.get(f"{url}/healthz").status_code == 200
        caller.sendall(b"0\r\n\r\n")
        read_until(caller, b"0\r\n\r\n")
        assert httpx.get(f"{url}/v1/tasks").status_code == 200


def test_a_body_shorter_than_its_length_ends_in_time(address: str, http: httpx.Client) -> None:
    with raw_connection(address) as caller:
        caller.sendall(b'POST /v1/tasks/topic HTTP/1.1\r\nHost: x\r\nContent-Length: 900\r\n\r\n{"inputs"')
        answer = read_until(caller, b"}}")
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"is Content-Length right?" in answer
    with raw_connection(address) as caller:  # it announces more than there may be
        caller.sendall(b"POST /v1/tasks/topic HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")
        assert read_until(caller, b"}}").startswith(b"HTTP/1.1 413 ")
    with raw_connection(address) as caller:  # the rest of the body is no request
        caller.sendall(b'POST /v1/tasks/topic HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{"inputs": "a"}')
        assert read_until(caller, b"request received.").startswith(b"HTTP/1.1 400 ")
    assert http.post("/v1/tasks/topic", json={"inputs": "球队"}).status_code == 200


def test_a_slow_reader_holds_up_nobody(address: str, http: httpx.Client) -> None:
    lines = b"".join(json.dumps(f"第{n}场比赛").encode() + b"\n" for n in range(1000))
    with raw_connection(address) as caller:
        caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        head = (
            b"POST /v1/tasks/topic HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-ndjson\r\nConnection: close\r\n"
        )
        caller.sendall(head + b"Content-Length: %d\r\n\r\n" % len(lines) + lines)
        time.sleep(0.5)
        assert http.post("/v1/tasks/topic", json={"inputs": "球队"}).status_code == 200
        received = b""
        while part := caller.recv(65536):
            received += part
    assert received.count(b'"line":') == 1000


def test_the_command_counts_and_logs_for_all_workers_and_outlives_bad_callers(
    server: TritonServer, tmp_path: Path
) -> None:
    log = tmp_path / "log"
    with contextlib.ExitStack() as stack, gateway_process(server.grpc_address, log, "--workers", "2") as url:
        idle = [stack.enter_context(raw_connection(url)) for _ in range(500)]
        with raw_connection(url) as leaver:  # asks for much, and leaves
            body = json.dumps({"inputs": ["球队赢得比赛" * 10] * 300}).encode()
            leaver.sendall(b"POST /v1/tasks/topic HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        headers = {"x-request-id": "mine-1", "content-type": "application/json"}
        for _ in range(12):  # without a kept connection, so that both workers get some
            reply = httpx.post(
                f"{url}/v1/tasks/topic", content='{"inputs": ["秘密球队", ""]}', headers=headers, timeout=30
            )
            assert (reply.status_code, reply.headers["x-request-id"]) == (200, "mine-1")
        counted = httpx.get(f"{url}/metrics").text
        assert len(idle) == 500
    assert 'ernie_gateway_requests_total{route="/v1/tasks/{task}",status="200",task="topic"} 12.0' in counted
    assert 'ernie_gateway_item_errors_total{task="topic"} 12.0' in counted
    assert 'status="499"' in counted
    events = [json.loads(line) for line in log.read_text().splitlines()]
    answered = [event for event in events if event.get("request_id") == "mine-1"]
    assert {(e["status"], e["task"], e["items"], e["item_errors"]) for e in answered} == {(200, "topic", 2, 1)}
    assert "秘密" not in log.read_text()
