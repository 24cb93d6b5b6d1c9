"""Where spans go, and what is refused."""

from __future__ import annotations

import argparse
import socket

import pytest

from ernie_serve import cli, tracing


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
    assert tracing.collector(text) == url


@pytest.mark.parametrize(
    "text", ["collector:4318", "grpc://collector", "otlp://", "otlp://a:b", "https://collector", "otlp://me:pw@host"]
)
def test_other_addresses_are_refused(text: str) -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="is no collector: give otlp://HOST"):
        tracing.collector(text)


def test_whether_a_collector_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        url = tracing.collector(f"otlp://127.0.0.1:{listening.getsockname()[1]}")
        assert tracing.answers(url)
    assert not tracing.answers(url)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trace-every", "2"], "--trace-every goes with --trace"),
        (["--trace", "otlp://a", "--trace-every", "0"], "0 is not a whole number, 1 or above"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err
