"""The examples in other languages, run by their own tools against the real server and its gateway."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ernie_serve.server import TritonServer

pytestmark = pytest.mark.e2e
EXAMPLES = Path(__file__).parents[2] / "clients" / "examples"
TEXTS = ["中共中央致中国致公党十一大的贺词", '他说："😀\\"']


@pytest.fixture(scope="module")
def environment(server: TritonServer) -> Iterator[dict[str, str]]:
    """What the examples read, and a gateway on a free port."""
    words = [sys.executable, "-m", "ernie_gateway", "--url", server.grpc_address, "--port", "0"]
    gateway = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    try:
        assert gateway.stdout is not None
        address = gateway.stdout.readline().split()[2]
        yield {**os.environ, "ERNIE_TRITON_GATEWAY": address, "ERNIE_TRITON_URL": server.grpc_address}
    finally:
        gateway.terminate()
        gateway.communicate()


def run(environment: dict[str, str], *words: str, folder: Path = EXAMPLES) -> subprocess.CompletedProcess[str]:
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is not installed")
    return subprocess.run(words, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("text", TEXTS)
@pytest.mark.parametrize("words", [("sh", "ask.sh"), ("node", "ask.mjs"), ("java", "Ask.java")])
def test_through_the_gateway(environment: dict[str, str], words: tuple[str, str], text: str) -> None:
    if words[0] == "sh" and shutil.which("jq") is None:
        pytest.skip("jq is not installed")
    done = run(environment, *words, "topic", text)
    assert done.returncode == 0, done.stderr
    assert '"label":' in done.stdout
    assert '"score":' in done.stdout


@pytest.mark.parametrize("words", [("node", "ask.mjs"), ("java", "Ask.java")])
def test_an_unknown_task_is_named(environment: dict[str, str], words: tuple[str, str]) -> None:
    done = run(environment, *words, "weather", "晴")
    assert done.returncode == 1
    assert "the server has no task 'weather'; it has ner, topic" in done.stdout + done.stderr


def test_by_grpc_positions_are_those_of_javascript(environment: dict[str, str], tmp_path: Path) -> None:
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed")
    folder = Path(shutil.copytree(EXAMPLES, tmp_path / "examples", ignore=shutil.ignore_patterns("node_modules")))
    installed = run(environment, "npm", "ci", "--silent", "--no-audit", "--no-fund", folder=folder)
    assert installed.returncode == 0, installed.stderr
    done = run(environment, "node", "ask_grpc.mjs", "ner", *TEXTS, folder=folder)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("unit: 'utf16'") == 2
    assert TEXTS[1] in done.stdout
