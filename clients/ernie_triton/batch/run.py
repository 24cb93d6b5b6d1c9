"""A file of texts through a task: answers in the input's order, bad lines aside, on from where an earlier run ended."""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from itertools import chain
from typing import IO, Protocol

from ..errors import ErnieTritonError, FileError, OtherInput
from ..items import Item
from ..replies import Reply
from ..results import TextError
from ..tasks import Task
from .lines import Lines
from .output_file import Done, OutputFile
from .output_lines import answer_line, bad_line
from .plan import Plan, Streamed, open_output, reading
from .progress import Progress, duration
from .records import Record, parser, records

SAID = 5  # bad lines that are told on the terminal too
_NO_ITEM: Item = ()  # stands for a bad line on its way, so that lines keep their order


class Source(Protocol):
    """What answers: a Client, or LocalTasks."""

    def task(self, name: str) -> Task:
        """One task."""

    def stream(
        self, task: str, texts: Iterable[Item], *, variant: str | None, batch_size: int, numeric: bool
    ) -> Generator[Reply | TextError, None, None]:
        """The replies to texts in their order."""


class FileRun:
    """One run of a plan."""

    def __init__(self, source: Source, task: Task, plan: Plan) -> None:
        self._source, self._task, self._plan = source, task, plan
        self._out: OutputFile | Streamed | None = None
        self._progress = Progress(task.name)
        self._answered = self._bad = 0  # of this run

    def run(self) -> int:
        """0 when the whole input is worked through, 1 when not, or with bad lines and `strict`; 130 interrupted."""
        try:
            with reading(self._plan) as stream:
                self._out = open_output(self._plan, self._task, stream)
                return self._work(stream, self._out)
        except KeyboardInterrupt:
            self._leave("interrupted")
            return 130
        except ErnieTritonError as error:
            self._leave(str(error), may_go_on=not isinstance(error, OtherInput))
            return 1
        except BrokenPipeError:  # who reads standard output has seen enough
            self._leave(None)
            raise
        except OSError as error:
            self._leave(f"{self._plan.name} cannot be read: {error.strerror}")
            return 1

    def _work(self, stream: IO[bytes], out: OutputFile | Streamed) -> int:
        plan, done = self._plan, out.done
        expected = (done.checked_bytes, done.checked_sha256) if done.checked_bytes else None
        if done.lines < done.checked_lines and stream.seekable():  # the output was cut: compare before more is written
            start = stream.tell()
            deque(Lines(stream, plan.name, expected), maxlen=0)
            stream.seek(start)
        lines = Lines(stream, plan.name, expected)
        parse = parser(plan.format, self._task.inputs, plan.fields, plan.name)
        todo = records(lines, parse, done.lines)
        first = next(todo, None)
        out.begin()
        if first is not None:
            size = os.fstat(stream.fileno()).st_size if stream.seekable() else None
            self._progress = Progress(self._task.name, size, first.line.mark.bytes, shown=not _on_screen(out))
            if done.lines:
                self._say(f"going on behind line {done.lines:,} of {plan.name}; so far {_counts(done, 0, 0)}")
            self._answer_all(chain([first], todo), out)
        out.close(lines.mark)
        self._say(self._summary(done, first is None, lines.empty))
        return 1 if plan.strict and done.bad + self._bad else 0

    def _answer_all(self, todo: Iterator[Record], out: OutputFile | Streamed) -> None:
        plan, waiting = self._plan, deque[Record]()

        def items() -> Iterator[Item]:
            for record in todo:
                waiting.append(record)
                yield _NO_ITEM if record.item is None else record.item

        stream = self._source.stream(
            self._task.name, items(), variant=plan.variant, batch_size=plan.batch_size, numeric=plan.numeric
        )
        with closing(stream) as replies:
            for reply in replies:
                record = waiting.popleft()
                if isinstance(reply, TextError):
                    self._report(record, record.fault or reply.reason, out)
                else:
                    out.answer(answer_line(record, reply), record.line.mark)
                    self._answered += 1
                self._progress.update(record.line.mark.bytes, self._answered + self._bad, self._bad)

    def _report(self, record: Record, reason: str, out: OutputFile | Streamed) -> None:
        out.bad(bad_line(record, reason), record.line.mark)
        self._bad += 1
        if self._bad <= SAID or isinstance(out, Streamed):
            self._say(f"line {record.line.number}: {reason}")
        elif self._bad == SAID + 1:
            self._say(f"more bad lines: see {self._plan.output}.bad")

    def _leave(self, why: str | None, may_go_on: bool = True) -> None:
        """Close the output; say why, and what is kept where the same command may go on with it."""
        out = self._out
        self._progress.clear()
        if out is not None:
            try:
                out.close()
            except FileError as error:
                why = why or str(error)
        if why is None:
            return
        if may_go_on and isinstance(out, OutputFile) and out.done.lines + self._answered + self._bad:
            kept = _counts(out.done, self._answered, self._bad)
            why += f"; {kept} so far are kept, the same command goes on from there"
        self._say(why)

    def _summary(self, done: Done, nothing_left: bool, empty: int) -> str:
        plan = self._plan
        counts = _counts(done, self._answered, self._bad)
        if done.bad + self._bad and isinstance(self._out, OutputFile):
            counts += f" ({plan.output}.bad)"
        counts += f", {empty:,} empty" if empty else ""
        if nothing_left and done.lines:
            return f"{plan.output} is finished already: {counts}; --overwrite starts again"
        seconds, lines = self._progress.seconds, self._answered + self._bad
        speed = f", {lines / seconds:,.0f} lines/s" if lines and seconds > 0 else ""
        return f"{plan.name}: {counts}; {duration(seconds)}{speed}"

    def _say(self, message: str) -> None:
        self._progress.say(f"ernie-triton predict: {message}")


def _counts(done: Done, answered: int, bad: int) -> str:
    return f"{done.answered + answered:,} answered, {done.bad + bad:,} bad"


def _on_screen(out: OutputFile | Streamed) -> bool:
    """Whether the answers go where the progress would."""
    return isinstance(out, Streamed) and sys.stdout.isatty()
