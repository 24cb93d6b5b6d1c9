"""The README's Python runs as it stands, on the tiny tasks in place of the real ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from ernie_serve.server import TritonServer

pytestmark = pytest.mark.e2e

README = Path(__file__).parents[2] / "README.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["sdk", "tritonclient"])
def test_a_snippet_runs(server: TritonServer, snippet: str) -> None:
    for old, new in (("127.0.0.1:8001", server.grpc_address), ('"tnews"', '"topic"'), ('"msra_ner"', '"ner"')):
        snippet = snippet.replace(old, new)
    done = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) >= 2


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        (["predict", "topic", "球队赢得比赛冠军"], "sport"),
        (["predict", "ner", "--json", "北京大学"], '"entities"'),
        (["tasks"], "sequence_classification"),
    ],
)
def test_the_command_answers(server: TritonServer, arguments: list[str], shown: str) -> None:
    command = [sys.executable, "-m", "ernie_triton", *arguments, "--url", server.grpc_address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert shown in done.stdout


def test_a_bad_text_is_named_and_the_others_are_answered(server: TritonServer) -> None:
    command = [sys.executable, "-m", "ernie_triton", "predict", "topic", "球队比赛", " ", "--url", server.grpc_address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert "sport" in done.stdout and "text 2" in done.stderr and "Traceback" not in done.stderr


def test_a_typo_in_a_task_gets_a_suggestion(server: TritonServer) -> None:
    command = [sys.executable, "-m", "ernie_triton", "predict", "topik", "球队", "--url", server.grpc_address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "topic" in done.stderr and len(done.stderr.strip().splitlines()) == 1
