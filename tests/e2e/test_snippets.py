"""The Python of docs/clients.md runs as it stands, on small tasks in place of the real ones."""

from __future__ import annotations

import subprocess
import sys

import pytest

from ernie_serve.server import TritonServer

from ..docs.test_answers import KINDS
from ..docs.test_snippets import snippets
from .kinds import TASK_OF

pytestmark = pytest.mark.e2e

SNIPPETS = [snippet for snippet in snippets("docs/clients.md") if "triton.example" not in snippet]
SMALL = {"tnews": "topic", "msra_ner": "ner"} | {name: TASK_OF[kind] for name, kind in KINDS.items() if kind in TASK_OF}


@pytest.mark.parametrize("snippet", SNIPPETS, ids=[f"{n}" for n, _ in enumerate(SNIPPETS)])
def test_a_snippet_runs(request: pytest.FixtureRequest, snippet: str) -> None:
    running: TritonServer = request.getfixturevalue("server" if '"tnews"' in snippet else "every_kind")
    snippet = snippet.replace("127.0.0.1:8001", running.grpc_address)
    for real, small in SMALL.items():
        snippet = snippet.replace(f'"{real}"', f'"{small}"')
    completed = subprocess.run([sys.executable, "-c", snippet], capture_output=True, text=True, timeout=60, check=False)
    assert (completed.returncode, completed.stderr) == (0, "")
    assert completed.stdout
