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
    ("arguments", "code", "shown", "told"),
    [
        (["predict", "topic", "球队赢得比赛冠军"], 0, "sport", ""),
        (["predict", "ner", "--json", "北京大学"], 0, '"entities"', ""),
        (["tasks"], 0, "sequence_classification", ""),
        (["predict", "topic", "球队比赛", " "], 1, "sport", "text 2"),
        (["predict", "topik", "球队"], 1, "", "did you mean 'topic'?"),
    ],
    ids=["labels", "JSON", "tasks", "a bad text is named, the other answered", "a typo in a task"],
)
def test_the_command(server: TritonServer, arguments: list[str], code: int, shown: str, told: str) -> None:
    command = [sys.executable, "-m", "ernie_triton", *arguments, "--url", server.grpc_address]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, done.stderr
    assert shown in done.stdout and told in done.stderr
    assert len(done.stderr.splitlines()) == bool(told)
