"""Texts given as arguments or line by line: a tab stands between the parts of an item."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import IO

from ..items import Item
from ..tasks import Task
from .records import split_cells


def read_lines(stream: IO[bytes], size: int) -> Iterator[list[str]]:
    """Lines of UTF-8, `size` at a time; bytes that are not UTF-8 become lone surrogates, refused later."""
    chunk: list[str] = []
    first = True
    for line in stream:
        text = line.decode("utf-8", "surrogateescape").rstrip("\r\n")
        chunk.append(text.removeprefix("\ufeff") if first else text)
        first = False
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def as_parts(texts: Sequence[str], task: Task) -> list[Item]:
    """The texts, cut at tabs where the task's items have several parts."""
    if len(task.inputs) == 1:
        return list(texts)
    return [split_cells(text.split("\t"), task.inputs) for text in texts]


def wrong_parts(item: Item, task: Task) -> str | None:
    """What is wrong with an item that has not one part an input, in the words of the command line."""
    if isinstance(item, str) or len(item) == len(task.inputs):
        return None
    return f"expected {len(task.inputs)} parts ({', '.join(task.inputs)}) with a tab between them, got {len(item)}"
