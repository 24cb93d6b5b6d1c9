"""A source of answers without a server or a model, and a file of good, bad and empty lines for it."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterable
from pathlib import Path

import numpy as np

from ernie_triton.errors import ServerUnavailable
from ernie_triton.items import Item, encode_item
from ernie_triton.replies import Reply
from ernie_triton.results import TextError
from ernie_triton.tasks import Task

TASK = Task(
    name="echo",
    kind="echo",
    title="Echo",
    labels=(),
    inputs=("TEXT",),
    variant="fp32",
    variants=("fp32", "int8"),
    version=1,
    build="b1",
    prefixes={"query": "q: ", "passage": "p: "},
)
AHEAD = 5  # texts that the source reads before it answers


class Echo:
    """Answers each text with itself, refuses the empty ones; fails or is interrupted at text number `stop`."""

    def __init__(
        self, stop: int | None = None, error: type[BaseException] = ServerUnavailable, served_task: Task = TASK
    ) -> None:
        self.stop, self.error, self.served_task, self.asked = stop, error, served_task, 0

    def task(self, name: str) -> Task:
        return self.served_task

    def stream(
        self, task: str, texts: Iterable[Item], *, variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        waiting: list[Item] = []
        source = iter(texts)
        while waiting or (text := next(source, None)) is not None:
            if not waiting:
                waiting = [text, *(more for _, more in zip(range(AHEAD - 1), source, strict=False))]
            for item in waiting:
                self.asked += 1
                if self.asked == self.stop:
                    raise self.error("the server is gone")
                row = encode_item(item, self.served_task.inputs)
                if isinstance(row, str) or not row[0].decode().strip():
                    yield TextError(0, row if isinstance(row, str) else "the text has only spaces")
                else:
                    yield Reply({"text": row[0].decode()}, {"SCORE": np.array([0.5], np.float32)} if numeric else {})
            waiting = []


RAW = b"".join(
    b'{"text": "\xff"}\n' if n % 7 == 3 else b"\n" if n % 7 == 5 else b'"\\u3000"\r\n' if n % 11 == 1 else
    json.dumps({"id": n, "text": f"text {n}"}).encode() + b"\n"
    for n in range(40)
)  # fmt: skip
"""26 good lines, 9 bad ones and 5 empty ones."""


def files(folder: Path) -> tuple[bytes, bytes]:
    """The answers and the bad lines of a run."""
    bad = folder / "out.jsonl.bad"
    return (folder / "out.jsonl").read_bytes(), bad.read_bytes() if bad.exists() else b""
