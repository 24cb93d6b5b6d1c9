"""The commands `ernie-triton predict` and `ernie-triton tasks`."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass

from ernie_runtime.command_line import CommandLine

from .. import client, local
from ..client import Client
from ..columns import visible
from ..errors import ErnieTritonError, FileError
from ..formatting import numeric_lines, result_lines, task_lines
from ..local import LocalTasks
from ..results import TextError
from ..tasks import Task
from ..vectors import shortener
from ..workers import WorkerTasks
from .output_lines import plain
from .plan import STANDARD, Plan
from .records import FORMATS, as_parts, read_lines, typed_items, wrong_parts
from .run import AnswerSource, FileRun

URL = "127.0.0.1:8001"
REPOSITORY = "model_repository"
ENGINES = ("local",)
CHUNK = 1024  # lines of standard input that are asked about together
EXAMPLES = """\
examples:
  ernie-triton predict tnews "今天股市大涨"
  ernie-triton predict tnews --input titles.txt --output answers.jsonl
  ernie-triton predict afqmc "花呗怎么还款" "怎样还花呗"
  ernie-triton predict tnews --input titles.csv --output answers.csv
  ernie-triton predict afqmc --input pairs.tsv --field TEXT=a --field TEXT_PAIR=b --output same.jsonl
  ernie-triton predict sentence_embedding --input passages.txt --prefix passage --output vectors.npy
  zcat big.jsonl.gz | ernie-triton predict msra_ner --input - --format jsonl --output entities.jsonl
  ernie-triton predict tnews --local --repository model_repository --input titles.txt --output answers.jsonl
  ernie-triton predict tnews --engine local --workers 4 --input titles.jsonl --output answers.jsonl

input files, plain or packed (.gz, .xz), UTF-8, UTF-16 or GB18030; empty lines are skipped:
  .jsonl  on each line an object whose keys are the task's inputs (text, text_pair, question, context, ...), a string,
          or a list of strings; other keys are carried to the output. Candidates to rank are a list of strings.
  .json   one array of such items, or the same as .jsonl; "line" is then the number of the item
  .csv    rows as spreadsheets and pandas write them, with commas or semicolons; either one column per input, or a first
          row that names the inputs, and then other columns are carried to the output
  .tsv    the same with tabs
  .txt    one text per line, for tasks with one input
output: a line {"line": 7, ...carried keys..., "result": RESULT} per text, in the order of the input; with --keep the
input's texts are carried too. Lines without an answer go to OUTPUT.bad: {"line": 9, "reason": why, "raw": the line}.
After an interruption, a lost server or a kill the same command resumes where it stopped; OUTPUT.state records what
OUTPUT belongs to. Other outputs by their extension:
  .csv    a row per answered line: line, all columns or keys of the input, and the keys of RESULT (label, score, ...);
  .tsv    lists are JSON; a column of the input that has the name of one of the answer's becomes input_label
  .npy    of an embedding task: float32 [lines, dimension], row i is line i + 1, NaN where a line has no answer
  .npz    the same as `vectors`, answered lines only, with their `ids`: the input's key or column id, else line numbers

Texts that begin with - must follow --. Exit codes: for texts: 0 all answered, 1 not all; for files: 0 all of the file
processed, 1 not all, or all lines bad (with --strict also when some were), 130 interrupted; 2 wrong usage.
"""


@dataclass(frozen=True, kw_only=True)
class PredictArguments:
    """The command line of `predict`, as parsed."""

    task: str
    texts: tuple[str, ...]
    url: str | None
    local: bool
    engine: str | None
    workers: int | None
    repository: str | None
    variant: str | None
    prefix: str | None
    dimensions: int | None
    numeric: bool
    json: bool
    verbose: bool
    input: str | None
    output: str | None
    format: str | None
    field: tuple[str, ...]
    keep: bool
    overwrite: bool
    strict: bool
    batch_size: int | None

    @property
    def texts_per_request(self) -> int:
        """As given, else the default of a server's client or of the local mode."""
        return self.batch_size or (local.BATCH if self.without_server else client.BATCH)

    @property
    def without_server(self) -> bool:
        """Whether the task runs on this machine, or on a cluster, from the files of a repository."""
        return self.local or self.engine is not None

    @property
    def usage_error(self) -> str | None:
        """Which options exclude each other; None if all is well."""
        for name in ("url", "repository", "input", "output"):
            if getattr(self, name) == "":  # most likely a shell variable that is not set
                return f"--{name} is empty"
        if self.repository is not None and not self.without_server:
            return "--repository goes with --local and --engine"
        if self.without_server and self.url is not None:
            return f"--url names a server, and {'--local' if self.local else '--engine'} does without one"
        if self.workers is not None and self.engine is None:
            return "--workers goes with --engine"
        if self.workers is not None and self.workers < 1:
            return "--workers must be at least 1"
        if self.batch_size is not None and self.batch_size < 1:
            return "--batch-size must be at least 1"
        if self.input is None:
            file_options = [n for n in ("output", "format", "field", "keep", "overwrite", "strict") if getattr(self, n)]
            return f"--{file_options[0]} goes with --input" if file_options else None
        if self.texts:
            return "TEXT and --input cannot both be given"
        if self.json or self.verbose:
            return "--json and -v are for TEXT; --input writes JSON lines"
        return None


def predict_parser() -> CommandLine:
    """The command line of `predict`."""
    parser = CommandLine(
        prog="ernie-triton predict",
        description="Ask a task about texts or a file of texts: through a running server, or without one (--local).",
        epilog=EXAMPLES,
    )
    parser.add_argument("task", metavar="TASK", help="name or title of the task; ernie-triton tasks lists them")
    parser.add_argument(
        "texts",
        metavar="TEXT",
        nargs="*",
        help="without one, or with -: one per line from standard input, and from a pipe one line of output for each; "
        "the parts of an item have tabs between them, or are arguments of their own",
    )
    parser.add_argument("--url", help=f"host:port of the server's gRPC port (default: {URL})")
    parser.add_argument("--local", action="store_true", help="run the task in this process, without a server")
    parser.add_argument(
        "--repository", metavar="DIR", help=f"with --local and --engine: the model repository (default: {REPOSITORY})"
    )
    parser.add_argument("--variant", help="a precision other than the recommended one")
    parser.add_argument(
        "--prefix",
        metavar="NAME",
        help="of an embedding task: the prefix to put before the texts, such as query or passage (default: the task's)",
    )
    parser.add_argument(
        "--dimensions",
        type=int,
        metavar="N",
        help="of an embedding task: the first N numbers of each vector, scaled to length 1 (default: all)",
    )
    parser.add_argument(
        "--numeric", action="store_true", help="also show numeric outputs such as LABEL_ID or EMBEDDING"
    )
    parser.add_argument("--json", action="store_true", help="print the task's RESULT, one JSON object per line")
    parser.add_argument("-v", "--verbose", action="store_true", help="show more of each answer, such as further labels")
    files = parser.add_argument_group("files")
    files.add_argument("--input", metavar="FILE", help="a file of texts; - for standard input")
    files.add_argument("--output", metavar="FILE", help="the file of answers; - for standard output (default: -)")
    files.add_argument("--format", choices=FORMATS, help="format of the input (default: by its file extension)")
    files.add_argument(
        "--field",
        metavar="INPUT=KEY",
        action="append",
        default=[],
        help="the key or column of an input, where it has another name; may be repeated",
    )
    files.add_argument("--keep", action="store_true", help="carry the texts of the input to the output, too")
    files.add_argument("--overwrite", action="store_true", help="start again where the output exists already")
    files.add_argument("--strict", action="store_true", help="exit code 1 also when only some lines are bad")
    files.add_argument(
        "--batch-size",
        type=int,
        metavar="N",
        help=f"the maximum of texts in a request (default: {client.BATCH}, without a server {local.BATCH})",
    )
    files.add_argument(
        "--engine",
        choices=ENGINES,
        help="run the task without a server in several processes: local, those of this machine",
    )
    files.add_argument(
        "--workers", type=int, metavar="N", help="with --engine: how many processes (default: one for each core)"
    )
    return parser


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
            return FileRun(source, task, _plan(arguments.input, arguments, task)).run()
    except ErnieTritonError as error:
        return _complain("predict", str(error))


def _source(arguments: PredictArguments, stack: ExitStack) -> AnswerSource:
    """What answers; texts of the command line are few, so an engine's processes are for files."""
    if not arguments.without_server:
        return stack.enter_context(Client(arguments.url or URL))
    repository = arguments.repository or REPOSITORY
    if arguments.engine is None or arguments.input is None:
        return LocalTasks(repository)
    return stack.enter_context(WorkerTasks(repository, arguments.workers or 0))


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
