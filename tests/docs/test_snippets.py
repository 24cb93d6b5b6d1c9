"""The Python of the README and of docs/clients.md passes `mypy --strict`; tests/e2e/test_snippets.py runs it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from .test_pages import ROOT


def snippets(page: str) -> list[str]:
    """The Python of a page that uses this project's client."""
    found = re.findall(r"```python\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    return [snippet for snippet in found if "from ernie_triton import" in snippet]


def mypy(folder: Path, codes: list[str]) -> str:
    """What `mypy --strict` says of each code, as a user's own file."""
    for number, code in enumerate(codes):
        (folder / f"snippet_{number}.py").write_text(code, encoding="utf-8")
    command = [sys.executable, "-m", "mypy", "--strict", "--config-file=", "--follow-imports=silent"]
    command += [f"--cache-dir={ROOT / '.cache' / 'mypy-snippets'}", "--no-error-summary", "."]
    path = os.pathsep.join(str(ROOT / name) for name in ("clients", "python_backends"))
    environment = {**os.environ, "MYPYPATH": path}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def test_snippets_are_typed(tmp_path: Path) -> None:
    """And what is wrong is seen: another class of answers, an unknown option, an item that is none."""
    codes = [code for page in ("README.md", "docs/clients.md") for code in snippets(page)]
    assert len(codes) >= 8
    wrong = [
        'client.entities("a", "b")[0].label',
        'client.classify("a", "b", varient="int8")',
        'client.rank("a", [("query", [1, 2])])',
        'client.predict("a", "b", on_error="return")[0].tokens',
    ]
    lines = ["from ernie_triton import Client", "client = Client()", *wrong]
    said = mypy(tmp_path, [*codes, "\n".join(lines) + "\n"])
    faulty = [f"snippet_{len(codes)}.py:{2 + number}" for number in range(1, len(wrong) + 1)]
    assert {line.split(": ")[0] for line in said.splitlines() if ": error:" in line} == set(faulty), said
