"""The command line of `ernie-triton predict`."""

from __future__ import annotations

from dataclasses import dataclass

from ernie_runtime.command_line import CommandLine

from .. import client, local
from .bulk.parts import LINES
from .bulk.run import FORMATS as OUTPUT_FORMATS
from .bulk.run import is_many
from .records import FORMATS

URL = "127.0.0.1:8001"
REPOSITORY = "model_repository"
ENGINES = ("local", "ray")
_FILE_OPTIONS = ("output", "format", "field", "keep", "overwrite", "strict", "output_format", "part_lines")
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
  ernie-triton predict tnews --engine local --input 'titles/*.parquet' --output answers/
  ernie-triton predict tnews --engine ray --input 's3://bucket/titles/*.parquet' --output s3://bucket/answers

input files, plain or packed (.gz, .xz), UTF-8, UTF-16 or GB18030; empty lines are skipped:
  .jsonl  on each line an object whose keys are the task's inputs (text, text_pair, question, context, ...), a string,
          or a list of strings; other keys are carried to the output. Candidates to rank are a list of strings.
  .json   one array of such items, or the same as .jsonl; "line" is then the number of the item
  .csv    rows as spreadsheets and pandas write them, with commas or semicolons; either one column per input, or a first
          row that names the inputs, and then other columns are carried to the output
  .tsv    the same with tabs
  .txt    one text per line, for tasks with one input
  .xlsx   the first sheet with rows, read as .csv is; "line" is the number of the row (with the extra formats)
  .parquet  rows whose columns are the inputs, as the keys of .jsonl (with the extra formats)
output: a line {"line": 7, ...carried keys..., "result": RESULT} per text, in the order of the input; with --keep the
input's texts are carried too. Lines without an answer go to OUTPUT.bad: {"line": 9, "reason": why, "raw": the line}.
After an interruption, a lost server or a kill the same command resumes where it stopped; OUTPUT.state records what
OUTPUT belongs to. Other outputs by their extension:
  .csv    a row per answered line: line, all columns or keys of the input, and the keys of RESULT (label, score, ...);
  .tsv    lists are JSON; a column of the input that has the name of one of the answer's becomes input_label
  .xlsx, .parquet  the same columns with types
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
    output_format: str | None
    part_lines: int | None

    @property
    def texts_per_request(self) -> int:
        """As given, else the default of a server's client or of the local mode."""
        return self.batch_size or (local.BATCH if self.without_server else client.BATCH)

    @property
    def without_server(self) -> bool:
        """Whether the task runs on this machine, or on a cluster, from the files of a repository."""
        return self.local or self.engine is not None

    @property
    def many(self) -> bool:
        """Whether files are answered into a folder, rather than one file into another."""
        return is_many(self.input) or is_many(self.output)

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
        if self.part_lines is not None and self.part_lines < 1:
            return "--part-lines must be at least 1"
        if self.batch_size is not None and self.batch_size < 1:
            return "--batch-size must be at least 1"
        if self.input is None:
            file_options = [name for name in _FILE_OPTIONS if getattr(self, name)]
            return f"--{file_options[0].replace('_', '-')} goes with --input" if file_options else None
        if not self.many and (self.output_format or self.part_lines):
            name = "--output-format" if self.output_format else "--part-lines"
            return f"{name} goes with an --output that is a folder (answers/) or a URL"
        if self.engine == "ray" and not self.many:
            return "--engine ray writes a folder: --output answers/"
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
    files.add_argument(
        "--input",
        metavar="FILE",
        help="a file of texts; - for standard input; several: 'titles/*.parquet', titles/, s3://",
    )
    files.add_argument(
        "--output", metavar="FILE", help="the file of answers; - for standard output (default: -); of several: a folder"
    )
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
        help="run the task without a server: local, in several processes of this machine; ray, on a Ray cluster",
    )
    files.add_argument(
        "--workers", type=int, metavar="N", help="with --engine: how many processes (default: one for each core)"
    )
    files.add_argument(
        "--output-format", choices=OUTPUT_FORMATS, help="of the files in a folder (default: jsonl, of parquet parquet)"
    )
    files.add_argument(
        "--part-lines", type=int, metavar="N", help=f"lines of a file that are answered together (default: {LINES})"
    )
    return parser
