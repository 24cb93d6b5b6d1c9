"""Addresses, certificates and retries, before anything is sent."""

from __future__ import annotations

from pathlib import Path

import pytest

from ernie_triton import Certificates, Client, ErnieTritonError, Retry, ServerUnavailable
from ernie_triton.connection import Connection, connection
from ernie_triton.errors import AccessDenied
from ernie_triton.replies import translate


def connected(url: str, **settings: object) -> Connection:
    return connection(url, **{"timeout": 60.0, **settings})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("url", "protocol", "secure", "shown", "loopback"),
    [
        ("127.0.0.1:8001", "grpc", False, "127.0.0.1:8001", True),
        ("grpc://triton:8001", "grpc", False, "triton:8001", False),
        ("grpcs://triton:443", "grpc", True, "triton:443", False),
        ("[::1]:8001", "grpc", False, "[::1]:8001", True),
        ("http://localhost:8000/", "http", False, "http://localhost:8000", True),
        ("https://triton.example:443", "http", True, "https://triton.example:443", False),
    ],
)
def test_addresses(url: str, protocol: str, secure: bool, shown: str, loopback: bool) -> None:
    server = connected(url)
    assert (server.protocol, server.tls is not None, server.url, server.is_loopback) == (
        *(protocol, secure, shown),
        loopback,
    )
    assert connected(url, tls=True).tls is not None


@pytest.mark.parametrize(
    "url", ["", "triton", ":8001", "host:port", "ftp://a:1", "http://a:1/v2", "http://u:p@a:1", "a:1?b"]
)
def test_what_is_no_address(url: str) -> None:
    with pytest.raises(ServerUnavailable, match=r"is not the host:port of a gRPC server"):
        connected(url)


def test_keys_and_headers() -> None:
    server = connected("a:1", api_key="secret", headers={"X-Team": "search"})
    assert server.headers == {"authorization": "Bearer secret", "x-team": "search"}
    assert "secret" not in server.url


def test_waits_grow_to_the_longest_one_at_random() -> None:
    retry = Retry(attempts=5, first=0.1, longest=0.3)
    exact = [0.1, 0.2, 0.3, 0.3]
    runs = [list(retry.waits()) for _ in range(50)]
    assert all(0.8 * e <= wait <= 1.2 * e for run in runs for wait, e in zip(run, exact, strict=True))
    assert len({run[0] for run in runs}) > 40
    assert list(Retry(attempts=1).waits()) == []


@pytest.mark.parametrize("wrong", [{"attempts": 0}, {"attempts": 6}, {"first": 0}, {"first": 3.0}, {"multiplier": 0.5}])
def test_wrong_retries(wrong: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"attempts|first"):
        Retry(**wrong)  # type: ignore[arg-type]


def test_wrong_certificates(tmp_path: Path) -> None:
    with pytest.raises(ErnieTritonError, match=r"there is no file .*ca\.pem"):
        Certificates(ca=tmp_path / "ca.pem")
    with pytest.raises(ValueError, match="go together"):
        Certificates(key=__file__)


def test_wrong_arguments_of_a_call() -> None:
    with Client("127.0.0.1:9") as client:
        for name, wrong in (("batch_size", 0), ("timeout", 0), ("on_error", "x")):
            with pytest.raises(ValueError, match=name):
                client.predict("topic", "a", **{name: wrong})  # type: ignore[call-overload]
        with pytest.raises(TypeError, match="unknown option 'varient'; there are batch_size, dimensions, headers"):
            client.predict("topic", "a", varient="int8")  # type: ignore[call-overload]
    with pytest.raises(ValueError, match="timeout"):
        Client("127.0.0.1:9", timeout=0)


def test_refused_access() -> None:
    for status, message in (
        ("UNAUTHENTICATED", "no key"),
        ("UNAVAILABLE", "This protocol is restricted, expecting header 'triton-grpc-protocol-key'"),
    ):
        error = translate(status, message, "a:1", 1)
        assert isinstance(error, AccessDenied) and "header" in str(error) and "triton-grpc" not in str(error)
