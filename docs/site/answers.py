"""Ask a served demo again what docs/answers.md and its translation show: python docs/site/answers.py [--write]."""

from __future__ import annotations

import argparse
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

PAGES = [Path(__file__).parents[1] / name for name in ("answers.md", "answers.zh.md")]
PAIR = re.compile(r"```bash\n(?P<command>ernie-triton predict .*?)```\n\n```json\n(?P<answer>.*?)```", re.DOTALL)
TOLERANCE = 0.002  # of a score: engines and batches round differently


def words_of(command: str) -> list[str]:
    """The command's words; a line may go on after a backslash."""
    return shlex.split(command.replace("\\\n", " "))


def ask(command: str, url: str) -> list[Any]:
    """The answers of a command, one for each text."""
    words = [sys.executable, "-m", "ernie_triton", *words_of(command)[1:], "--url", url]
    # 1: not all texts have an answer
    completed = subprocess.run(words, capture_output=True, text=True, check=False)
    if completed.returncode not in (0, 1) or not completed.stdout:
        raise SystemExit(completed.stderr.strip())
    return [json.loads(line) for line in completed.stdout.splitlines()]


def close(first: Any, second: Any) -> bool:
    """Equal but for the last digits of numbers."""
    if isinstance(first, float) and isinstance(second, float):
        return abs(first - second) <= TOLERANCE
    if isinstance(first, dict) and isinstance(second, dict):
        return list(first) == list(second) and all(close(first[key], second[key]) for key in first)
    if isinstance(first, list) and isinstance(second, list):
        return len(first) == len(second) and all(map(close, first, second))
    return bool(first == second)


def pretty(answer: dict[str, Any]) -> str:
    """A field a line, and of lists of objects an element a line."""
    lines = []
    for key, value in answer.items():
        text = json.dumps(value, ensure_ascii=False)
        if isinstance(value, list) and value and isinstance(value[0], dict):
            inner = ",\n".join(f"    {json.dumps(item, ensure_ascii=False)}" for item in value)
            text = f"[\n{inner}\n  ]"
        lines.append(f'  "{key}": {text}')
    return "{\n" + ",\n".join(lines) + "\n}\n"


def objects(text: str) -> list[Any]:
    """The JSON objects that follow each other in a text."""
    values, decoder, rest = [], json.JSONDecoder(), text.strip()
    while rest:
        value, end = decoder.raw_decode(rest)
        values.append(value)
        rest = rest[end:].lstrip()
    return values


def main() -> int:
    """Exit code 1 where a page shows another answer, and it is not written."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", default="127.0.0.1:8001", help="the demo's gRPC port (default: %(default)s)")
    parser.add_argument("--write", action="store_true", help="write the answers into the pages")
    arguments = parser.parse_args()
    answers: dict[str, list[Any]] = {}
    differing = 0
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for match in PAIR.finditer(text):
            command = match["command"]
            if command not in answers:
                answers[command] = ask(command, arguments.url)
            if not close(objects(match["answer"]), answers[command]):
                differing += 1
                written = "".join(map(pretty, answers[command]))
                sys.stderr.write(f"{page.name}: {command}{written}")
                text = text.replace(match[0], match[0].replace(match["answer"], written))
        if arguments.write:
            page.write_text(text, encoding="utf-8")
    return 1 if differing and not arguments.write else 0


if __name__ == "__main__":
    sys.exit(main())
