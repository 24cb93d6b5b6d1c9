"""The README's Python and curl run as they stand, on the tiny tasks in place of the real ones."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from ernie_serve.server import TritonServer

pytestmark = pytest.mark.e2e

README = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
SNIPPETS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
(CURL,) = re.findall(r"```bash\n(curl .*?)```", README, re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS, ids=["sdk", "tritonclient"])
def test_a_snippet_runs(server: TritonServer, snippet: str) -> None:
    for old, new in (("127.0.0.1:8001", server.grpc_address), ('"tnews"', '"topic"'), ('"msra_ner"', '"ner"')):
        snippet = snippet.replace(old, new)
    completed = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == 0, completed.stderr
    assert len(completed.stdout.splitlines()) >= 2


def test_the_curl_request(server: TritonServer) -> None:
    """Sent as curl sends it: -d is a POST whose content type is that of a form."""
    _, _, url, option, body = shlex.split(CURL)
    assert option == "-d"
    url = url.replace("127.0.0.1:8000", server.http_address).replace("/tnews/", "/topic/")
    with urllib.request.urlopen(url, data=body.encode(), timeout=60) as reply:
        (output,) = json.load(reply)["outputs"]
    assert (output["name"], output["datatype"], output["shape"]) == ("RESULT", "BYTES", [2, 1])
    assert all(json.loads(answer)["label"] for answer in output["data"])


@pytest.mark.parametrize(
    ("arguments", "code", "stdout", "stderr"),
    [
        (["predict", "topic", "球队赢得比赛冠军"], 0, "sport", ""),
        (["predict", "ner", "--json", "北京大学"], 0, '"entities"', ""),
        (["tasks"], 0, "sequence_classification", ""),
        (["predict", "topic", "球队比赛", " "], 1, "sport", "text 2"),
        (["predict", "topik", "球队"], 1, "", "did you mean topic?"),
    ],
    ids=["labels", "JSON", "tasks", "a bad text is named, the other answered", "a typo in a task"],
)
def test_the_command(server: TritonServer, arguments: list[str], code: int, stdout: str, stderr: str) -> None:
    command = [sys.executable, "-m", "ernie_triton", *arguments, "--url", server.grpc_address]
    completed = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert completed.returncode == code, completed.stderr
    assert stdout in completed.stdout and stderr in completed.stderr
    assert len(completed.stderr.splitlines()) == bool(stderr)
