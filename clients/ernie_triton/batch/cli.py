"""The commands `ernie-triton predict` and `ernie-triton tasks`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack

from .. import client, local
from ..client import Client
from ..columns import visible
from ..errors import ErnieTritonError, FileError
from ..formatting import numeric_lines, result_lines, task_lines
from ..local import LocalTasks
from ..results import TextError
from ..tasks import Task
from .output_lines import plain
from .plan import STANDARD, Plan
from .records import FORMATS
from .run import FileRun, Source
from .text_lines import as_parts, read_lines, wrong_parts

URL = "127.0.0.1:8001"
REPOSITORY = "model_repository"
CHUNK = 1024  # lines of standard input that are asked together
EXAMPLES = """\
examples:
  ernie-triton predict tnews "今天股市大涨"
  ernie-triton predict tnews --input titles.txt --output answers.jsonl
  ernie-triton predict afqmc --input pairs.tsv --field TEXT=a --field TEXT_PAIR=b --output same.jsonl
  zcat big.jsonl.gz | ernie-triton predict msra_ner --input - --format jsonl --output entities.jsonl
  ernie-triton predict tnews --local --repository model_repository --input titles.txt --output answers.jsonl

input files, UTF-8, read line by line; empty lines are left out:
  .jsonl  an object a line whose keys are the task's inputs (text, text_pair, question, context, ...), a string, or a
          list of strings; other keys are carried to the output. Candidates to rank are a list of strings.
  .tsv    a tab between columns, no quotes; either one column an input, or a first line that names the inputs, and then
          other columns are carried to the output
  .txt    a text a line, for tasks with one input
output: {"line": 7, ...what is carried..., "result": RESULT} a line, in the input's order. Lines without an answer go to
OUTPUT.bad: {"line": 9, "reason": why, "raw": the line}. After an interruption, a lost server or a kill the same command
goes on where it was; OUTPUT.state tells it what OUTPUT belongs to.

A text that begins with - goes behind --. Exit codes: texts: 0 all answered, 1 not all; files: 0 the whole file was
worked through, 1 not (with --strict also when there were bad lines), 130 interrupted; 2 usage.
"""


def predict_parser() -> argparse.ArgumentParser:
    """Arguments of `predict`."""
    made = argparse.ArgumentParser(
        prog="ernie-triton predict",
        description="Ask a task about texts, or about a file of them: a running server, or without one (--local).",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    made.add_argument("task", metavar="TASK", help="its name; ernie-triton tasks lists them")
    made.add_argument(
        "texts",
        metavar="TEXT",
        nargs="*",
        help="without one, or with -: one a line from standard input; a tab between the parts of an item",
    )
    made.add_argument("--url", help=f"host:port of the server's gRPC port (default: {URL})")
    made.add_argument("--local", action="store_true", help="no server: run the task in this process")
    made.add_argument("--repository", metavar="DIR", help=f"with --local: the model repository (default: {REPOSITORY})")
    made.add_argument("--variant", help="a precision other than the recommended one")
    made.add_argument("--numeric", action="store_true", help="numeric outputs too, such as LABEL_ID or EMBEDDING")
    made.add_argument("--json", action="store_true", help="print the task's RESULT, one JSON object a line")
    made.add_argument("-v", "--verbose", action="store_true", help="more of each answer, such as the next best labels")
    files = made.add_argument_group("files")
    files.add_argument("--input", metavar="FILE", help="a file of texts; - for standard input")
    files.add_argument("--output", metavar="FILE", help="the file of answers; - for standard output (default: -)")
    files.add_argument("--format", choices=FORMATS, help="of the input, where its name does not say it")
    files.add_argument(
        "--field",
        metavar="INPUT=KEY",
        action="append",
        default=[],
        help="the key or column of an input, where it has another name; once an input",
    )
    files.add_argument("--overwrite", action="store_true", help="start again where the output is there already")
    files.add_argument("--strict", action="store_true", help="exit code 1 also when only some lines are bad")
    files.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help=f"texts a request, at most (default: {client.BATCH}, with --local {local.BATCH})",
    )
    return made


def predict_main(argv: Sequence[str] | None = None) -> int:
    """`ernie-triton predict`: its exit code, as the help tells."""
    made = predict_parser()
    try:
        given = made.parse_intermixed_args(argv)
        if wrong := _wrong_usage(given):
            made.error(wrong)
    except SystemExit as leaving:
        return int(leaving.code or 0)
    try:
        with ExitStack() as stack:
            source: Source = (
                LocalTasks(given.repository or REPOSITORY)
                if given.local
                else stack.enter_context(Client(given.url or URL))
            )
            task = source.task(given.task)
            task.model(given.variant)
            if given.input is None:
                return _predict(source, task, given)
            return FileRun(source, task, _plan(given, task)).run()
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
        with Client(given.url) as asked:
            found = asked.tasks()
    except ErnieTritonError as error:
        return _complain("tasks", str(error))
    if not found:
        return _complain("tasks", f"the server at {given.url} has no task ready")
    _say(task_lines(found))
    return 0


def _wrong_usage(given: argparse.Namespace) -> str | None:
    """What does not go together."""
    for name in ("url", "repository", "input", "output"):
        if getattr(given, name) == "":  # a shell variable that is not set, most likely
            return f"--{name} is empty"
    if given.repository is not None and not given.local:
        return "--repository goes with --local"
    if given.local and given.url is not None:
        return "--url names a server, and --local does without one"
    if given.batch_size is not None and given.batch_size < 1:
        return "--batch-size must be at least 1"
    if given.input is None:
        alone = [name for name in ("output", "format", "field", "overwrite", "strict") if getattr(given, name)]
        return f"--{alone[0]} goes with --input" if alone else None
    if given.texts:
        return "TEXT and --input cannot both be given"
    if given.json or given.verbose:
        return "--json and -v are for TEXT; --input writes JSON lines"
    return None


def _plan(given: argparse.Namespace, task: Task) -> Plan:
    return Plan(
        input=given.input,
        output=given.output or STANDARD,
        batch_size=_batch_size(given),
        form=given.format,
        fields=_fields(given.field, task),
        variant=given.variant,
        numeric=given.numeric,
        overwrite=given.overwrite,
        strict=given.strict,
    )


def _fields(pairs: Iterable[str], task: Task) -> Mapping[str, str]:
    fields: dict[str, str] = {}
    for pair in pairs:
        name, equals, key = pair.partition("=")
        if name.upper() not in task.inputs or not equals:
            raise FileError(f"--field {pair}: expected INPUT=KEY, with an input of {', '.join(task.inputs)}")
        if name.upper() in fields:
            raise FileError(f"--field {pair}: {name.upper()} is {fields[name.upper()]} already")
        fields[name.upper()] = key
    return fields


def _batch_size(given: argparse.Namespace) -> int:
    return int(given.batch_size or (local.BATCH if given.local else client.BATCH))


def _predict(source: Source, task: Task, given: argparse.Namespace) -> int:
    from_input = given.texts in ([], [STANDARD])
    # Python decodes arguments as the locale says, which under LC_ALL=C is ASCII.
    arguments = [os.fsencode(text).decode("utf-8", "surrogateescape") for text in given.texts]
    if from_input and sys.stdin.isatty():
        sys.stderr.write("one text a line; Ctrl-D ends\n")
    chunks = read_lines(sys.stdin.buffer, 1 if sys.stdin.isatty() else CHUNK) if from_input else [arguments]
    number = bad = 0
    for texts in chunks:
        items = as_parts(texts, task)
        replies = source.stream(
            task.name, items, variant=given.variant, batch_size=_batch_size(given), numeric=given.numeric
        )
        for item, reply in zip(items, replies, strict=True):
            number += 1
            if isinstance(reply, TextError):
                bad += 1
                why = wrong_parts(item, task) or reply.reason
                _complain("predict", f"{'line' if from_input else 'text'} {number}: {why}")
            if given.json:
                numbers = {} if isinstance(reply, TextError) else reply.numeric
                raw = {**reply.raw, **{name: plain(values) for name, values in numbers.items()}}
                _say([json.dumps(raw, ensure_ascii=False)])
            elif not isinstance(reply, TextError):
                _say([*result_lines(item, reply, task, given.verbose), *numeric_lines(reply.numeric)])
        sys.stdout.flush()
    return 1 if bad else 0


def _say(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _complain(verb: str, message: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"ernie-triton {verb}: {visible(message)}\n")
    return 1
