"""What `serve --production` refuses before it starts anything, and that it names the way out."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ernie_gateway import keys
from ernie_serve import advisories, production
from ernie_serve.arguments import arguments
from ernie_serve.cli import main
from ernie_serve.command import parser
from ernie_serve.gateway import TRITON_KEY, GatewayOptions
from ernie_serve.options import ServerOptions
from ernie_serve.problems import ServeError


def refusal(*words: str) -> str:
    """Why these options do not serve; empty where they do."""
    try:
        production.check(parser().parse_args(["--production", *words]))
    except ServeError as error:
        assert "\n" not in str(error)
        return str(error)
    return ""


@pytest.fixture
def key_file(tmp_path: Path) -> str:
    keys.add(tmp_path / "keys", "web")
    return str(tmp_path / "keys")


def test_each_condition_has_its_way_out(monkeypatch: pytest.MonkeyPatch, key_file: str) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    words = ["--host", "0.0.0.0"]
    for reason, way_out in (
        ("does not run as root", ["--allow-root"]),
        ("wants API keys", ["--gateway-keys", key_file]),
        ("in the clear", ["--tls-certificate", "c.pem", "--tls-key", "k.pem"]),
        ("has Triton 24.10", ["--allow-known-holes"]),
    ):
        assert reason in refusal(*words)
        assert way_out[0] in refusal(*words)
        words += way_out
    assert refusal(*words) == ""


def test_behind_a_proxy_or_on_loopback_needs_no_tls(key_file: str) -> None:
    words = ["--allow-root", "--allow-known-holes", "--gateway-keys", key_file]
    assert refusal(*words) == refusal(*words, "--host", "::1") == refusal(*words, "--host", "localhost") == ""
    assert refusal(*words, "--host", "10.1.2.3", "--behind-proxy", "10.0.0.0/8") == ""
    for host in ("10.1.2.3", "::", "example.org"):
        assert "in the clear" in refusal(*words, "--host", host)


@pytest.mark.parametrize(
    "words",
    [
        ["--production", "--", "--http-address=0.0.0.0"],
        ["--production", "--", "--grpc-use-ssl=0"],
        ["--production", "--", "--allow-sagemaker=true"],
        ["--allow-root"],
        ["--allow-known-holes"],
        ["--tls-key", "key.pem"],
        ["--behind-proxy", "10.0.0.1"],
        ["--gateway-grpc-port", "8081"],
        ["--gateway", "--gateway-grpc-port", "0"],
        ["--gateway", "--tls-certificate", "c.pem"],
    ],
)
def test_options_that_do_not_go_together(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_known_holes_are_those_of_releases_before_the_fix() -> None:
    assert "24.10" in advisories.holes("0.7.0") and advisories.FIXED_IN in advisories.holes("0.7.3")
    assert advisories.holes("0.9.0") == ""


def test_every_api_of_triton_wants_the_key(tmp_path: Path) -> None:
    """The real names: Triton ignores no group that it does not know, it ends."""
    options = ServerOptions(repository=tmp_path, supervised=True, private=True)
    closed = arguments(options, name="n", key=("k", "v"), models=[], repository=tmp_path, backends=tmp_path)
    (http,) = [word for word in closed if word.startswith("--http-restricted-api=")]
    groups = set(http.partition("=")[2].partition(":")[0].split(","))
    assert groups == {
        *("health", "metadata", "inference", "shared-memory", "model-config"),
        *("model-repository", "statistics", "trace", "logging"),
    }


def test_the_key_of_triton_is_no_argument() -> None:
    options = GatewayOptions(host="127.0.0.1", port=1, keys=None, triton_key=("ernie-key", "secret"))
    assert not any("secret" in word for word in options.arguments())
    assert options.environment()[TRITON_KEY] == "ernie-key=secret"
