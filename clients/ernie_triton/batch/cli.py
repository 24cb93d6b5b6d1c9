"""The commands `ernie-triton predict` and `ernie-triton tasks`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict

from ernie_runtime.command_line import CommandLine

from ..client import Client
from ..columns import visible
from ..connection import Retry
from ..errors import ErnieTritonError, FileError
from ..formatting import numeric_lines, result_lines, task_lines
from ..local import LocalTasks
from ..results import TextError
from ..tasks import Task
from ..vectors import shortener
from ..workers import WorkerTasks, cores
from .arguments import REPOSITORY, URL, PredictArguments, predict_parser
from .bulk import engines
from .bulk.parts import LINES, Part
from .bulk.run import FolderRun, Settings, check_output
from .bulk.work import Done, Job
from .output_lines import plain
from .plan import STANDARD, Plan
from .records import as_parts, read_lines, typed_items, wrong_parts
from .run import AnswerSource, FileRun

PATIENT = Retry(attempts=5, first=0.5, longest=30.0, multiplier=3.0)  # some 20 s in all: many texts have time
CHUNK = 1024  # lines of standard input that are asked about together


def predict_main(argv: Sequence[str] | None = None) -> int:
    """`ernie-triton predict`: its exit code, as the help describes."""
    parser = predict_parser()
    try:
        parsed = vars(parser.parse_intermixed_args(argv))
        for dest in parser.from_environment:  # it must not stand against what is typed
            if dest == ("url" if parsed["local"] or parsed["engine"] else "repository"):
                parsed[dest] = None
        arguments = PredictArguments(**{**parsed, "texts": tuple(parsed["texts"]), "field": tuple(parsed["field"])})
        if arguments.usage_error:
            parser.error(arguments.usage_error)
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with ExitStack() as stack:
            source = _source(arguments, stack)
            task = source.task(arguments.task)
            task.model(arguments.variant)
            task.with_prefix(arguments.prefix)  # what is wrong is refused now, not at the first text
            shortener(task, arguments.dimensions)
            if arguments.input is None:
                return _predict_texts(source, task, arguments)
            plan = _plan(arguments.input, arguments, task)
            if arguments.many:
                return _predict_folder(source, task, plan, arguments)
            return FileRun(source, task, plan).run()
    except ErnieTritonError as error:
        return _complain("predict", str(error))


def _source(arguments: PredictArguments, stack: ExitStack) -> AnswerSource:
    """What answers; texts of the command line are few, so an engine's processes are for files."""
    if not arguments.without_server:
        if not arguments.texts:
            with Client(arguments.url or URL) as client:
                client.task(arguments.task)  # a server that is not there is no reason for patience
        return stack.enter_context(Client(arguments.url or URL, retry=None if arguments.texts else PATIENT))
    repository = arguments.repository or REPOSITORY
    if arguments.engine is None or arguments.input is None or arguments.many:
        return LocalTasks(repository)
    return stack.enter_context(WorkerTasks(repository, arguments.workers or 0))


def _predict_folder(source: AnswerSource, task: Task, plan: Plan, arguments: PredictArguments) -> int:
    check_output(plan)
    workers = arguments.workers or 0

    def answer(job: Job, parts: Sequence[Part]) -> Generator[Done, None, None]:
        if arguments.engine is None:
            return engines.in_this_process(job, source, parts)
        if arguments.engine == "ray":
            return engines.on_ray(job, workers or None, parts)
        return engines.in_processes(job, workers or cores(), parts)

    settings = Settings(
        part_lines=arguments.part_lines or LINES,
        output_format=arguments.output_format,
        repository=os.path.abspath(arguments.repository or REPOSITORY),
    )
    return FolderRun(task, plan, settings, answer).run()


def tasks_main(argv: Sequence[str] | None = None) -> int:
    """`ernie-triton tasks`: 0, 1 when there is no server, 2 for wrong usage."""
    parser = CommandLine(prog="ernie-triton tasks", description="List the tasks of a running server.")
    parser.add_argument("--url", default=URL, help="host:port of the server's gRPC port")
    parser.add_argument("--json", action="store_true", help="an object for each task, one a line")
    try:
        parsed = parser.parse_args(argv)
        url: str = parsed.url
    except SystemExit as stop:
        return int(stop.code or 0)
    try:
        with Client(url) as server:
            tasks = server.tasks()
    except ErnieTritonError as error:
        return _complain("tasks", str(error))
    if not tasks:
        return _complain("tasks", f"the server at {url} has no task ready")
    _write([json.dumps(asdict(task), ensure_ascii=False) for task in tasks] if parsed.json else task_lines(tasks))
    return 0


def _plan(path: str, arguments: PredictArguments, task: Task) -> Plan:
    return Plan(
        input=path,
        output=arguments.output or STANDARD,
        batch_size=arguments.texts_per_request,
        given_format=arguments.format,
        fields=_fields(arguments.field, task),
        variant=arguments.variant,
        numeric=arguments.numeric,
        prefix=arguments.prefix,
        dimensions=arguments.dimensions,
        keep=arguments.keep,
        overwrite=arguments.overwrite,
        strict=arguments.strict,
        many=arguments.many,
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


def _predict_texts(source: AnswerSource, task: Task, arguments: PredictArguments) -> int:
    from_stdin = arguments.texts in ((), (STANDARD,))
    # Python decodes arguments as the locale says, which under LC_ALL=C is ASCII.
    texts_given = [os.fsencode(text).decode("utf-8", "surrogateescape") for text in arguments.texts]
    if from_stdin and sys.stdin.isatty():
        sys.stderr.write("one text a line; Ctrl-D ends\n")
    chunks = (
        (as_parts(lines, task) for lines in read_lines(sys.stdin.buffer, 1 if sys.stdin.isatty() else CHUNK))
        if from_stdin
        else iter([typed_items(texts_given, task)])
    )
    one_line = from_stdin and not sys.stdin.isatty()
    shorten = shortener(task, arguments.dimensions)
    put_prefix = task.with_prefix(arguments.prefix)
    number = bad = 0
    for typed in chunks:
        items = list(map(put_prefix, typed))
        replies = source.stream(
            task.name,
            items,
            variant=arguments.variant,
            batch_size=arguments.texts_per_request,
            numeric=arguments.numeric,
        )
        for item, reply in zip(items, replies, strict=True):
            number += 1
            if isinstance(reply, TextError):
                bad += 1
                reason = wrong_parts(item, task) or reply.reason
                _complain("predict", f"{'line' if from_stdin else 'text'} {number}: {reason}")
            else:
                reply = shorten(reply)
            if arguments.json:
                outputs = {} if isinstance(reply, TextError) else reply.numeric
                raw = {**reply.raw, **{name: plain(values) for name, values in outputs.items()}}
                _write([json.dumps(raw, ensure_ascii=False)])
            elif not isinstance(reply, TextError):
                lines = result_lines(item, reply, task, arguments.verbose, one_line) + numeric_lines(reply.numeric)
                _write(["  ".join(map(str.strip, lines))] if one_line else lines)
            elif one_line:  # the outputs of other programs can be put beside the input
                _write([""])
        sys.stdout.flush()
    return 1 if bad else 0


def _write(lines: Iterable[str]) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))


def _complain(verb: str, message: str) -> int:
    sys.stdout.flush()
    sys.stderr.write(f"ernie-triton {verb}: {visible(message)}\n")
    return 1
