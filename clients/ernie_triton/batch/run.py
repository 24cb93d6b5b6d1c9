"""Runs a file of texts through a task: answers in the input's order, bad lines apart, resumed where it was cut off."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import Protocol

from ..errors import ErnieTritonError, FileError, OtherInput
from ..items import Item
from ..replies import Reply
from ..results import TextError
from ..tasks import Task
from ..vectors import shortener
from .lines import Lines
from .output_file import OutputFile, Resumed
from .output_lines import bad_line
from .plan import Plan, StreamOutput, open_output, reading
from .progress import FileProgress, duration
from .records import Record, parser, records
from .rows import rows
from .source import Source

SHOWN_BAD_LINES = 5  # that are reported on the terminal too
_NO_ITEM: Item = ()  # takes the place of a bad line's item, so that lines keep their order


class AnswerSource(Protocol):
    """What answers the texts: a Client, or LocalTasks."""

    def task(self, name: str) -> Task:
        """The task of this name; UnknownTask where there is none."""

    def stream(
        self, task: str, texts: Iterable[Item], *, variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        """The replies to texts, in their order."""


class FileRun:
    """One run with the settings of a plan; quiet: it says nothing, as one of many."""

    def __init__(self, source: AnswerSource, task: Task, plan: Plan, quiet: bool = False) -> None:
        self._source, self._task, self._plan, self._quiet = source, task, plan, quiet
        self._out: OutputFile | StreamOutput | None = None
        self._progress = FileProgress(task.name)
        self.answered = self.bad = 0  # lines of this run

    def run(self) -> int:
        """The exit code: 0 when all of the input has been processed, 1 when not, 130 when interrupted.

        Also 1 when all lines were bad, and with `strict` when some were.
        """
        try:
            with reading(self._plan) as source:
                self._out = open_output(self._plan, self._task, source.stream)
                return self.work(source, self._out)
        except KeyboardInterrupt:
            self._leave("interrupted")
            return 130
        except ErnieTritonError as error:
            self._leave(str(error), may_resume=not isinstance(error, OtherInput))
            return 1
        except BrokenPipeError:  # the reader of standard output has closed the pipe
            self._leave(None)
            raise
        except OSError as error:
            self._leave(f"{self._plan.name} cannot be read: {error.strerror}")
            return 1

    def work(self, source: Source, out: OutputFile | StreamOutput, before: int = 0) -> int:
        """The exit code of a run from one open file to another; before: lines ahead of a source that is a part."""
        self._out = out
        plan, resumed, stream = self._plan, out.resumed, source.stream
        if source.note:
            self._say(source.note)
        expected = (resumed.checked_bytes, resumed.checked_sha256) if resumed.checked_bytes else None
        if resumed.lines < resumed.checked_lines and stream.seekable():  # the output was cut: compare before writing
            start = stream.tell()
            deque(Lines(stream, plan.name, expected), maxlen=0)
            stream.seek(start)
        lines = Lines(stream, plan.name, expected, before)
        inputs = self._task.inputs
        parse = parser(plan.format, inputs, plan.fields, plan.name, source.dialect, plan.keeps_inputs)
        remaining = records(rows(lines, source.dialect) if source.dialect.quoted else lines, parse, resumed.lines)
        first = next(remaining, None)
        out.begin()
        if first is not None:
            size = os.fstat(stream.fileno()).st_size if stream.seekable() else None
            self._progress = FileProgress(
                self._task.name, size, first.line.position.bytes, shown=not (self._quiet or _on_screen(out))
            )
            if resumed.lines:
                self._say(f"going on behind line {resumed.lines:,} of {plan.name}; so far {_counts(resumed, 0, 0)}")
            self._answer_all(chain([first], remaining), out)
        out.close(lines.position)
        self._say(self._summary(resumed, first is None, lines.empty))
        answered, bad = resumed.answered + self.answered, resumed.bad + self.bad
        return 1 if bad and (plan.strict or not answered) else 0

    def _answer_all(self, remaining: Iterator[Record], out: OutputFile | StreamOutput) -> None:
        plan, in_flight = self._plan, deque[Record]()
        shorten = shortener(self._task, plan.dimensions)
        put_prefix = self._task.with_prefix(plan.prefix)

        def items() -> Iterator[Item]:
            for record in remaining:
                in_flight.append(record)
                yield _NO_ITEM if record.item is None else put_prefix(record.item)

        stream = self._source.stream(
            self._task.name,
            items(),
            variant=plan.variant,
            batch_size=plan.batch_size,
            numeric=plan.numeric or plan.writes_array,
        )
        with closing(stream) as replies:
            for reply in replies:
                record = in_flight.popleft()
                if isinstance(reply, TextError):
                    self._report(record, record.fault or reply.reason, out)
                else:
                    out.answer(record, shorten(reply))
                    self.answered += 1
                self._progress.update(record.line.position.bytes, self.answered + self.bad, self.bad)

    def _report(self, record: Record, reason: str, out: OutputFile | StreamOutput) -> None:
        out.bad(bad_line(record, reason), record.line.position)
        self.bad += 1
        if self.bad <= SHOWN_BAD_LINES or isinstance(out, StreamOutput):
            self._say(f"line {record.line.number}: {reason}")
        elif self.bad == SHOWN_BAD_LINES + 1:
            self._say(f"more bad lines: see {self._plan.output}.bad")

    def _leave(self, reason: str | None, may_resume: bool = True) -> None:
        """Close the output; say why, and how much is kept where the same command may resume it."""
        out = self._out
        self._progress.clear()
        if out is not None:
            try:
                out.close()
            except FileError as error:
                reason = reason or str(error)
        if reason is None:
            return
        if may_resume and isinstance(out, OutputFile) and out.resumed.lines + self.answered + self.bad:
            counts = _counts(out.resumed, self.answered, self.bad)
            reason += f"; {counts} so far are kept, the same command goes on from there"
        self._say(reason)

    def _summary(self, resumed: Resumed, nothing_left: bool, empty: int) -> str:
        plan = self._plan
        counts = _counts(resumed, self.answered, self.bad)
        if resumed.bad + self.bad and isinstance(self._out, OutputFile):
            counts += f" ({plan.output}.bad)"
        counts += f", {empty:,} empty" if empty else ""
        if nothing_left and resumed.lines:
            return f"{plan.output} is finished already: {counts}; --overwrite starts again"
        seconds, lines = self._progress.seconds, self.answered + self.bad
        speed = f", {lines / seconds:,.0f} lines/s" if lines and seconds > 0 else ""
        return f"{plan.name}: {counts}; {duration(seconds)}{speed}"

    def _say(self, message: str) -> None:
        if not self._quiet:
            self._progress.say(f"ernie-triton predict: {message}")


def _counts(resumed: Resumed, answered: int, bad: int) -> str:
    return f"{resumed.answered + answered:,} answered, {resumed.bad + bad:,} bad"


def _on_screen(out: OutputFile | StreamOutput) -> bool:
    """Whether the answers go to the terminal that would show the progress."""
    return isinstance(out, StreamOutput) and sys.stdout.isatty()
