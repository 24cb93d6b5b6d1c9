"""The settings of a run over a file, and its input and output, opened."""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from errno import EISDIR
from pathlib import Path
from typing import IO

from ernie_runtime.names import EMBEDDING
from ernie_runtime.text_files import foreign_fault

from ..errors import FileError
from ..replies import Reply
from ..results import numeric_outputs
from ..tasks import Task
from .lines import Position
from .output_file import OutputFile, Resumed
from .output_lines import answer_line
from .parquet import need_pyarrow
from .parquet_file import ParquetFile
from .records import FORMATS, Record
from .source import PEEK, Source, readable
from .table_file import TableFile
from .workbook_file import WorkbookFile, need_openpyxl

ARRAYS = (".npy", ".npz")
TABLES = (".csv", ".tsv", ".xlsx", ".parquet")
PACKED = (".gz", ".xz")
STANDARD = "-"  # standard input or output


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The settings of one run; FileError where the format of the input is unknown."""

    input: str  # a path, or - for standard input
    output: str  # a path, or - for standard output
    batch_size: int
    given_format: str | None = None  # one of FORMATS; None for the one that the input's extension names
    fields: Mapping[str, str] = field(default_factory=dict)  # by input, its key or column
    variant: str | None = None
    numeric: bool = False
    prefix: str | None = None
    dimensions: int | None = None  # of the vectors, where they are cut
    keep: bool = False  # carry the inputs to the output too
    overwrite: bool = False
    strict: bool = False
    many: bool = False  # the input is more than one file, each with its own format

    def __post_init__(self) -> None:
        if self.given_format is None and not self.many and self._extension not in FORMATS:
            if self.input != STANDARD and not Path(self.input).exists():  # most likely a mistyped name
                raise FileError(f"{self.input} cannot be read: No such file or directory")
            if Path(self.input).is_dir():
                raise FileError(f"{self.input} cannot be read: Is a directory")
            if no_text := self._no_text():
                raise FileError(no_text)
            raise FileError(f"{self.name}: --format says what it holds, one of {', '.join(FORMATS)}")

    def _no_text(self) -> str:
        """What an input is that no format fits, such as a workbook; empty for what may be text."""
        if not Path(self.input).is_file():
            return ""
        with suppress(OSError), Path(self.input).open("rb") as file:
            return foreign_fault(file.read(PEEK), self.name)
        return ""

    @property
    def format(self) -> str:
        """One of FORMATS; of many files, what their names say."""
        return self.given_format or ("by extension" if self.many else self._extension)

    @property
    def name(self) -> str:
        """Name of the input, for messages."""
        return "standard input" if self.input == STANDARD else self.input

    @property
    def writes_array(self) -> bool:
        """Whether the output is an array of vectors."""
        return Path(self.output).suffix.lower() in ARRAYS

    @property
    def writes_table(self) -> bool:
        """Whether the output is a table, which has the inputs as columns too."""
        return Path(self.output).suffix.lower() in TABLES

    @property
    def keeps_inputs(self) -> bool:
        """Whether the inputs are carried to the output."""
        return self.keep or self.writes_table

    @property
    def _extension(self) -> str:
        path = Path(self.input.lower())
        return (Path(path.stem) if path.suffix in PACKED else path).suffix.removeprefix(".")

    def run_of(self, task: Task) -> dict[str, object]:
        """What the answers depend on: only a run with the same values may resume an output."""
        return {
            "task": task.name,
            "version": task.version,
            "build": task.build,
            "variant": self.variant or task.variant,
            "format": self.format,
            "fields": dict(self.fields),
            "numeric": self.numeric,
            **({"keep": True} if self.keeps_inputs else {}),
            **({} if self.prefix is None else {"prefix": self.prefix}),
            **({} if self.dimensions is None else {"dimensions": self.dimensions}),
        }


class StreamOutput:
    """Standard output, or a file that is not a regular one: it cannot be resumed, and bad lines are only reported."""

    resumed = Resumed()

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def begin(self) -> None:
        """Nothing to prepare."""

    def answer(self, record: Record, reply: Reply) -> None:
        """Write an answer; BrokenPipeError where the reader has closed the pipe."""
        try:
            self._file.write(answer_line(record, reply))
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise FileError(f"the output cannot be written: {error.strerror}") from None

    def bad(self, line: bytes, position: Position) -> None:
        """Nowhere to write."""

    def close(self, end: Position | None = None) -> None:
        """Close the file, unless it is standard output."""
        if self._file is not sys.stdout.buffer:
            with suppress(OSError):  # a failed flush was reported when the line was written
                self._file.close()


@contextmanager
def reading(plan: Plan) -> Iterator[Source]:
    """The input, open for reading lines of UTF-8; FileError where it cannot be."""
    if plan.input == STANDARD:
        if plan.format == "parquet":
            raise FileError("parquet is read from its end, which standard input cannot be: give --input a file")
        if sys.stdin.isatty():
            sys.stderr.write("Ctrl-D ends\n")
        yield readable(sys.stdin.buffer, plan.name, plan.format)
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(plan.input).open("rb", buffering=PEEK))
        except OSError as error:
            raise FileError(f"{plan.input} cannot be read: {error.strerror}") from None
        yield readable(stream, plan.name, plan.format)


def open_output(plan: Plan, task: Task, stream: IO[bytes]) -> OutputFile | StreamOutput:
    """The output; FileError where it cannot be written, is the input, or belongs to another run."""
    path = Path(plan.output)
    if _is_file(stream, _written(plan.output)):
        raise FileError(f"{plan.name} is the input and would be written to: give another --output")
    if plan.output == STANDARD:
        return StreamOutput(sys.stdout.buffer)
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        if plan.writes_array:
            return _open_array(path, plan, task)
        if plan.writes_table:
            if path.exists() and not path.is_file():
                raise FileError(f"{path} is no regular file, which a table must be")
            return table_file(path)(path, plan.run_of(task), plan.overwrite)
        if path.exists() and not path.is_file():
            return StreamOutput(path.open("wb"))
        return OutputFile(path, plan.run_of(task), plan.overwrite)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}") from None


def table_file(path: Path) -> type[TableFile]:
    """The class for its extension; FileError where it takes a package that is not installed."""
    if path.suffix.lower() == ".parquet":
        need_pyarrow(str(path))
        return ParquetFile
    if path.suffix.lower() == ".xlsx":
        need_openpyxl(str(path))
        return WorkbookFile
    return TableFile


def _open_array(path: Path, plan: Plan, task: Task) -> OutputFile:
    from .vector_file import VectorFile  # only here: other outputs need no numpy

    if EMBEDDING not in numeric_outputs(task.kind):
        raise FileError(f"{path}: task {task.name} ({task.kind}) gives no vector per text; give --output a .jsonl file")
    if path.exists() and not path.is_file():
        raise FileError(f"{path} is no regular file, which an array must be")
    return VectorFile(path, plan.run_of(task), plan.dimensions or task.dimension, plan.overwrite)


def _written(output: str) -> Iterator[os.stat_result]:
    """The files that a run with this output writes to, as far as they exist."""
    if output == STANDARD:
        with suppress(OSError):  # a stream in memory has no descriptor
            yield os.fstat(sys.stdout.fileno())
        return
    for suffix in ("", ".bad", ".state", ".state.partial", ".lines", ".rows", ".partial"):
        with suppress(OSError):
            yield os.stat(output + suffix)


def _is_file(stream: IO[bytes], others: Iterator[os.stat_result]) -> bool:
    """Whether a stream reads a regular file that is one of the others."""
    status = os.fstat(stream.fileno())
    return stat.S_ISREG(status.st_mode) and any(os.path.samestat(status, other) for other in others)
