"""A run over a file as asked for: what is read, what is written, and with what."""

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

from ..errors import FileError
from ..tasks import Task
from .lines import Mark
from .output_file import Done, OutputFile
from .records import FORMATS

STANDARD = "-"  # standard input or output


@dataclass(frozen=True)
class Plan:
    """One run; FileError where the format of the input is not known."""

    input: str  # a path, or - for standard input
    output: str  # a path, or - for standard output
    batch_size: int
    form: str | None = None  # one of FORMATS; by the input's extension where it is None
    fields: Mapping[str, str] = field(default_factory=dict)  # key or column, by input
    variant: str | None = None
    numeric: bool = False
    overwrite: bool = False
    strict: bool = False

    def __post_init__(self) -> None:
        if self.form is None and self._extension not in FORMATS:
            if self.input != STANDARD and not Path(self.input).exists():  # a mistyped name more likely than a format
                raise FileError(f"{self.input} cannot be read: No such file or directory")
            if Path(self.input).is_dir():
                raise FileError(f"{self.input} cannot be read: Is a directory")
            raise FileError(f"{self.name}: --format says what it holds, one of {', '.join(FORMATS)}")

    @property
    def format(self) -> str:
        """One of FORMATS."""
        return self.form or self._extension

    @property
    def name(self) -> str:
        """Of the input, for messages."""
        return "standard input" if self.input == STANDARD else self.input

    @property
    def _extension(self) -> str:
        return Path(self.input).suffix.lower().removeprefix(".")

    def run_of(self, task: Task) -> dict[str, object]:
        """What the answers depend on: an output is only gone on with by a run of the same."""
        return {
            "task": task.name,
            "version": task.version,
            "build": task.build,
            "variant": self.variant or task.variant,
            "format": self.format,
            "fields": dict(self.fields),
            "numeric": self.numeric,
        }


class Streamed:
    """Standard output, or another file that is no regular one: nothing to go on from, bad lines are only told."""

    done = Done()

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file

    def begin(self) -> None:
        """Nothing to prepare."""

    def answer(self, line: bytes, mark: Mark) -> None:
        """Write an answer; BrokenPipeError where nobody reads it any more."""
        try:
            self._file.write(line)
            self._file.flush()
        except BrokenPipeError:
            raise
        except OSError as error:
            raise FileError(f"the output cannot be written: {error.strerror}") from None

    def bad(self, line: bytes, mark: Mark) -> None:
        """Nowhere to write."""

    def close(self, end: Mark | None = None) -> None:
        """Close what is not standard output."""
        if self._file is not sys.stdout.buffer:
            with suppress(OSError):  # what could not be flushed was told when it was written
                self._file.close()


@contextmanager
def reading(plan: Plan) -> Iterator[IO[bytes]]:
    """The input, open."""
    if plan.input == STANDARD:
        if sys.stdin.isatty():
            sys.stderr.write("Ctrl-D ends\n")
        yield sys.stdin.buffer
        return
    with ExitStack() as stack:
        try:
            stream = stack.enter_context(Path(plan.input).open("rb"))
        except OSError as error:
            raise FileError(f"{plan.input} cannot be read: {error.strerror}") from None
        yield stream


def open_output(plan: Plan, task: Task, stream: IO[bytes]) -> OutputFile | Streamed:
    """The output; FileError where it cannot be written, is the input, or belongs to another run."""
    path = Path(plan.output)
    if _is_file(stream, _written(plan.output)):
        raise FileError(f"{plan.name} is the input and would be written to: give another --output")
    if plan.output == STANDARD:
        return Streamed(sys.stdout.buffer)
    try:
        if path.is_dir():
            raise IsADirectoryError(EISDIR, os.strerror(EISDIR))
        if path.exists() and not path.is_file():
            return Streamed(path.open("wb"))
        return OutputFile(path, plan.run_of(task), plan.overwrite)
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}") from None


def _written(output: str) -> Iterator[os.stat_result]:
    """What a run with this output writes to, as far as it is there."""
    if output == STANDARD:
        with suppress(OSError):  # a test's, say, has no descriptor
            yield os.fstat(sys.stdout.fileno())
        return
    for added in ("", ".bad", ".state", ".state.partial"):
        with suppress(OSError):
            yield os.stat(output + added)


def _is_file(stream: IO[bytes], others: Iterator[os.stat_result]) -> bool:
    """Whether a stream reads a regular file that is one of the others."""
    read = os.fstat(stream.fileno())
    return stat.S_ISREG(read.st_mode) and any(os.path.samestat(read, other) for other in others)
