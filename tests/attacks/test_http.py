"""Attacks on the REST gateway: each is refused in bounded time and memory, and the next caller is answered."""

from __future__ import annotations

import gzip
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest

from ernie_gateway import protocol

from .conftest import BODY_SECONDS, MAX_BODY, MAX_ITEMS, Front

pytestmark = pytest.mark.e2e
MEGABYTE = 2**20


@pytest.fixture
def http(front: Front) -> Iterator[httpx.Client]:
    headers = {"authorization": f"Bearer {front.key}"}
    with httpx.Client(base_url=front.http, headers=headers, trust_env=False, timeout=30) as client:
        yield client
        good = client.post("/v1/tasks/topic", json={"inputs": "球队赢得比赛"})
        assert good.json()["answers"][0]["label"] == "sport"


def raw(front: Front, *parts: bytes, seconds: float = 5.0) -> bytes:
    """What a connection gets until it is closed, or nothing more comes for some seconds."""
    place = urlsplit(front.http)
    received = b""
    with socket.create_connection((place.hostname, place.port), timeout=seconds) as caller:
        try:
            for part in parts:
                caller.sendall(part)
            while data := caller.recv(65536):
                received += data
        except OSError:  # closed while we still send, or silent
            pass
    return received


def memory() -> int:
    """Bytes of this process, in which the gateway runs."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def head(front: Front, *lines: str, path: str = "/v1/tasks/topic") -> bytes:
    return "\r\n".join(
        [f"POST {path} HTTP/1.1", "Host: x", f"Authorization: Bearer {front.key}", *lines, "", ""]
    ).encode()


@pytest.mark.parametrize("path", ["/v1/tasks", "/v1/tasks/topic", "/v1/embeddings", "/metrics", "/openapi.json"])
def test_nothing_about_tasks_without_a_key(front: Front, http: httpx.Client, path: str) -> None:
    refused = httpx.get(f"{front.http}{path}", trust_env=False)
    assert refused.status_code == 401
    assert "topic" not in refused.text


@pytest.mark.parametrize("step", ["topic_tokenizer", "topic_encoder_fp32", "topic_postprocess"])
def test_steps_are_no_tasks(http: httpx.Client, step: str) -> None:
    assert http.post(f"/v1/tasks/{step}", json={"inputs": "a"}).status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        "/v2/repository/index",
        "/v2/repository/models/topic/unload",
        "/v2/systemsharedmemory/status",
        "/v2/cudasharedmemory/region/x/register",
        "/v2/trace/setting",
        "/v2/logging",
        "/v2/models/topic/infer",
        "/v2/models/stats",
        "/v1/tasks/../../v2/logging",
        "/v1/tasks/%2e%2e%2fv2%2flogging",
        "/static/../app.py",
        "/static/%2e%2e/keys.py",
        "/static/..%2f..%2fkeys.py",
        "/static//etc/passwd",
    ],
)
def test_no_way_to_triton_or_to_files(http: httpx.Client, path: str) -> None:
    for method in ("GET", "POST"):
        assert http.request(method, path, content=b"{}").status_code in (404, 405)


def test_triton_itself_answers_nobody_else(front: Front, http: httpx.Client) -> None:
    address = front.triton.http_address
    for path in ("/v2/health/ready", "/v2", "/v2/models/topic", "/v2/models/topic/config", "/v2/models/stats"):
        assert httpx.get(f"http://{address}{path}", trust_env=False).status_code == 403
    for path in ("/v2/models/topic/infer", "/v2/repository/index", "/v2/logging"):
        assert httpx.post(f"http://{address}{path}", content=b"{}", trust_env=False).status_code == 403


@pytest.mark.parametrize("depth", [200, 100_000 // 2 - 50])
@pytest.mark.parametrize("pair", ["[]", '{"a":}'])
def test_deep_json(http: httpx.Client, depth: int, pair: str) -> None:
    opening, closing = pair[:-1], pair[-1]
    body = opening * min(depth, MAX_BODY // len(pair)) + "1" + closing * min(depth, MAX_BODY // len(pair))
    assert http.post("/v1/tasks/topic", content=body).status_code in (400, 422)


def test_json_that_is_slow_to_refuse(http: httpx.Client) -> None:
    names = ", ".join(f'"{n}": 0' for n in range(8000))
    for body in (
        f'{{{names}, "7999": 0}}',  # a key twice, among many
        json.dumps({"a" * 90_000: 0}),  # an unknown field that is like none
        '{"inputs": ' + "9" * 90_000 + "}",
        '{"inputs": "' + "\\ud800" * 10_000 + '"}',
    ):
        began = time.monotonic()
        refused = http.post("/v1/tasks/topic", content=body)
        assert refused.status_code in (400, 422)
        assert len(refused.content) < 2_000
        assert time.monotonic() - began < 2


def test_names_that_triton_would_repeat_in_its_headers(http: httpx.Client) -> None:
    """Found by tests.chaos.fuzz: 502 for a name of 30,000 letters."""
    name = "a" * 30_000
    assert http.post(f"/v1/tasks/{name}", json={"inputs": "a"}).status_code == 404
    assert http.post("/v1/embeddings", json={"input": "a", "model": name}).status_code == 404
    assert http.post("/v1/tasks/topic", json={"inputs": "a", "variant": name}).status_code == 422


def test_more_items_and_bytes_than_may_be(http: httpx.Client) -> None:
    assert http.post("/v1/tasks/topic", json={"inputs": ["a"] * (MAX_ITEMS + 1)}).status_code == 413
    assert http.post("/v1/tasks/topic", json={"inputs": "a" * MAX_BODY}).status_code == 413
    assert http.post("/v1/tasks/topic", content=iter([b" " * 50_000] * 3)).status_code == 413  # no Content-Length


def test_compressed_bodies(http: httpx.Client) -> None:
    bomb = gzip.compress(b" " * 50 * MEGABYTE)
    before = memory()
    for coding in ("gzip", "deflate", "br", "gzip, gzip"):
        refused = http.post("/v1/tasks/topic", content=bomb, headers={"content-encoding": coding})
        assert refused.status_code == 415
    assert memory() - before < 20 * MEGABYTE


def test_chunks_that_lie(front: Front, http: httpx.Client) -> None:
    start = head(front, "Transfer-Encoding: chunked")
    body = b'{"inputs": "a"}'
    both = head(front, "Transfer-Encoding: chunked", f"Content-Length: {len(body)}")
    assert raw(front, start, b"fffffffffffffffff\r\n").startswith(b"HTTP/1.1 400 ")  # overflows 64 bits
    assert raw(front, start, b"-5\r\nhello\r\n").startswith(b"HTTP/1.1 400 ")
    assert raw(front, start, b"f\r\n" + body + b"XX0\r\n\r\n").startswith(b"HTTP/1.1 400 ")
    assert raw(front, start, b"ffff\r\n" + body).startswith(b"HTTP/1.1 408 ")  # says more than comes
    assert raw(front, both, b"f\r\n" + body + b"\r\n0\r\n\r\n").startswith(b"HTTP/1.1 400 ")  # two lengths: smuggling


def test_a_body_of_the_smallest_chunks(front: Front, http: httpx.Client) -> None:
    """What overflowed Triton's stack until 25.07 (CVE-2025-23310) is put together here."""
    body = json.dumps({"inputs": "球队" + " " * 20_000}).encode()
    chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body) + b"0\r\n\r\n"
    answer = raw(front, head(front, "Transfer-Encoding: chunked", "Connection: close"), chunks)
    assert answer.startswith((b"HTTP/1.1 200 ", b"HTTP/1.1 422 "))


@pytest.mark.parametrize("kind", ["head", "address", "trailers", "extension"])
def test_heads_and_trailers_without_end(front: Front, http: httpx.Client, kind: str) -> None:
    chunked = head(front, "Transfer-Encoding: chunked")
    start, repeated = {
        "head": (head(front)[:-2], b"x: " + b"y" * 60_000 + b"\r\n"),
        "address": (b"GET /", b"a" * 60_000),
        "trailers": (chunked + b'f\r\n{"inputs": "a"}\r\n0\r\n', b"x: " + b"y" * 60_000 + b"\r\n"),
        "extension": (chunked + b"f", b";a=" + b"y" * 60_000),
    }[kind]
    before = memory()
    answer = raw(front, start, *[repeated] * 500)
    assert memory() - before < 10 * MEGABYTE
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 408"))


def test_heads_and_bodies_that_drip(front: Front, http: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.5)
    began = time.monotonic()
    assert raw(front, b"") == b""  # connected, and says nothing
    assert raw(front, b"POST /v1/tasks/topic HTTP/1.1\r\nHost") == b""
    assert time.monotonic() - began < 4
    place = urlsplit(front.http)
    with socket.create_connection((place.hostname, place.port), timeout=10) as caller:
        caller.sendall(head(front, "Content-Length: 1000"))
        began = time.monotonic()
        while time.monotonic() - began < 4 * BODY_SECONDS:  # each byte comes in time, the body does not
            try:
                caller.sendall(b" ")
            except OSError:
                break
            time.sleep(BODY_SECONDS / 5)
        assert time.monotonic() - began < 3 * BODY_SECONDS


@pytest.mark.parametrize(
    "start",
    [
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"CONNECT internal:80 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET http://169.254.169.254/ HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX\x00: y\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        b"\x00" * 1000,
    ],
)
def test_what_is_no_request(front: Front, http: httpx.Client, start: bytes) -> None:
    answer = raw(front, start, seconds=1.0)
    assert not answer or answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 200 "))  # 200: the page, for GET of whatever host
    assert b"Traceback" not in answer


def logged(capfd: pytest.CaptureFixture[str]) -> list[str]:
    """The lines of the log; they follow the answer."""
    errors, deadline = "", time.monotonic() + 5
    while not errors.endswith("\n") and time.monotonic() < deadline:
        errors += capfd.readouterr().err
        time.sleep(0.01)
    return errors.splitlines()


def test_a_log_line_stays_a_line(front: Front, http: httpx.Client, capfd: pytest.CaptureFixture[str]) -> None:
    http.post("/v1/tasks/x%0d%0a%7b%22event%22:%22forged%22%7d", headers={"x-request-id": "forged id"})
    lines = logged(capfd)
    assert lines and all(json.loads(line)["event"] != "forged" for line in lines)
    assert all(json.loads(line).get("request_id") != "forged id" for line in lines)


def test_a_forwarded_address_is_not_believed(
    front: Front, http: httpx.Client, capfd: pytest.CaptureFixture[str]
) -> None:
    http.get("/v1/tasks", headers={"x-forwarded-for": "203.0.113.7"})
    (line,) = logged(capfd)
    assert json.loads(line)["client"] == "127.0.0.1"


def test_a_key_with_a_rate(front: Front, http: httpx.Client) -> None:
    slow = {"authorization": f"Bearer {front.slow_key}"}
    time.sleep(1.1)
    statuses = [http.post("/v1/tasks/topic", json={"inputs": "a"}, headers=slow).status_code for _ in range(12)]
    assert statuses.count(200) < 9 and set(statuses) == {200, 429}
    refused = http.post("/v1/tasks/topic", json={"inputs": ["球队"] * 32}, headers=slow)
    while refused.status_code == 429:
        time.sleep(0.1)
        refused = http.post("/v1/tasks/topic", json={"inputs": ["球队"] * 32}, headers=slow)
    later = http.get("/v1/tasks", headers=slow)
    assert (later.status_code, later.json()["error"]["code"]) == (429, "rate_limited")
    assert 4 <= int(later.headers["retry-after"]) <= 8  # 32 texts at 4 a second
