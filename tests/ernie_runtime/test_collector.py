"""Where spans go, and what is refused."""

from __future__ import annotations

import argparse
import socket

import pytest

from ernie_runtime.collector import answers, collector


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("otlp://collector", "http://collector:4318/v1/traces"),
        ("otlp://127.0.0.1:9999", "http://127.0.0.1:9999/v1/traces"),
        ("otlp://[::1]:9999/", "http://[::1]:9999/v1/traces"),
        ("http://tempo:4318/otlp/v1/traces", "http://tempo:4318/otlp/v1/traces"),
    ],
)
def test_addresses_of_collectors(text: str, url: str) -> None:
    assert collector(text) == url


@pytest.mark.parametrize(
    "text", ["collector:4318", "grpc://collector", "otlp://", "otlp://a:b", "https://collector", "otlp://me:pw@host"]
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no collector: give otlp://HOST"):
        collector(text)


def test_whether_a_collector_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = collector(f"otlp://127.0.0.1:{listening.getsockname()[1]}")
        assert answers(url)
    assert not answers(url)
