"""The commands `ernie-triton predict` and `ernie-triton tasks`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from typing import IO

from .client import Client
from .errors import ErnieTritonError
from .formatting import result_lines, task_lines, visible
from .items import Item
from .results import TextError
from .tasks import Task

URL = "127.0.0.1:8001"
CHUNK = 1024  # lines of standard input that are asked together


def predict_parser() -> argparse.ArgumentParser:
    """Arguments of `predict`."""
    made = argparse.ArgumentParser(
        prog="ernie-triton predict",
        description="Ask a task of a running server about texts.",
        epilog="A text that begins with - goes behind --. Exit codes: 0 all answered, 1 not all, 2 usage.",
    )
    made.add_argument("task", metavar="TASK", help="its name; ernie-triton tasks lists them")
    made.add_argument(
        "texts",
        metavar="TEXT",
        nargs="*",
        help="without one, or with -: one a line from standard input; a tab between the parts of an item",
    )
    made.add_argument("--url", default=URL, help="host:port of the server's gRPC port (default: %(default)s)")
    made.add_argument("--variant", help="a precision other than the recommended one")
    made.add_argument("--json", action="store_true", help="print the server's RESULT, one JSON object a line")
    made.add_argument("-v", "--verbose", action="store_true", help="more of each answer, such as the next best labels")
    return made


def predict_main(argv: Sequence[str] | None = None) -> int:
    """`ernie-triton predict`: 0 when every text has an answer, 1 when not, 2 for wrong usage."""
    try:
        given = predict_parser().parse_intermixed_args(argv)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    try:
        with Client(given.url) as client:
            return _predict(client, given)
    except ErnieTritonError as error:
        return _complain("predict", str(error))


def tasks_main(argv: Sequence[str] | None = None) -> int:
    """`ernie-triton tasks`: 0, 1 when there is no server, 2 for wrong usage."""
    made = argparse.ArgumentParser(prog="ernie-triton tasks", description="List the tasks of a running server.")
    made.add_argument("--url", default=URL, help="host:port of the server's gRPC port (default: %(default)s)")
    try:
        given = made.parse_args(argv)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    try:
        with Client(given.url) as client:
            found = client.tasks()
    except ErnieTritonError as error:
        return _complain("tasks", str(error))
    if not found:
        return _complain("tasks", f"the server at {given.url} has no task ready")
    _say(task_lines(found))
    return 0


def _predict(client: Client, given: argparse.Namespace) -> int:
    task = client.task(given.task)
    task.model(given.variant)
    from_input = given.texts in ([], ["-"])
    # Python decodes arguments as the locale says, which under LC_ALL=C is ASCII.
    arguments = [os.fsencode(text).decode("utf-8", "surrogateescape") for text in given.texts]
    if from_input and sys.stdin.isatty():
        sys.stderr.write("one text a line; Ctrl-D ends\n")
    chunks = read_lines(sys.stdin.buffer, 1 if sys.stdin.isatty() else CHUNK) if from_input else [arguments]
    number = bad = 0
    for texts in chunks:
        items: Iterable[Item] = as_parts(texts, task)
        answers = client.predict(task.name, items, variant=given.variant, on_error="return")
        for text, answer in zip(texts, answers, strict=True):
            number += 1
            if isinstance(answer, TextError):
                bad += 1
                _complain("predict", f"{'line' if from_input else 'text'} {number}: {answer.reason}")
            if given.json:
                _say([json.dumps(answer.raw, ensure_ascii=False)])
            elif not isinstance(answer, TextError):
                _say(result_lines(text, answer, task, given.verbose))
        sys.stdout.flush()
    return 1 if bad else 0


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
    return [tuple(text.split("\t")) for text in texts] if len(task.inputs) > 1 else list(texts)


def _say(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _complain(verb: str, message: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"ernie-triton {verb}: {visible(message)}\n")
    return 1
