"""The file of answers: it grows line by line, survives a kill, and records which input and task it belongs to.

There are three files. OUT holds one answer a line, OUT.bad the input lines without an answer; each line is written
whole, in the order of the input, as soon as it is known, so the last complete line of OUT says where to resume.
OUT.state records what OUT was begun with and, updated every few seconds, how far the input has been processed. It
proves that the beginning of the input has not changed, and that the bad lines after the last answer are done.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ernie_runtime.json_types import Json

from ..errors import FileError
from ..replies import Reply
from .jsonl_tail import bad_lines, count_lines, cut_bad_lines, last_line, whole_lines
from .lines import Position
from .output_lines import answer_line
from .records import Record

STATE = 1  # version of the format of OUT.state
SAVE_EVERY = 5.0  # seconds
START_AGAIN = "give another --output, or --overwrite to start again"


@dataclass(frozen=True, kw_only=True)
class Resumed:
    """What earlier runs have finished."""

    lines: int = 0  # of the input that need no more work
    answered: int = 0
    bad: int = 0
    checked_lines: int = 0
    """The beginning of the input, which must not have changed: its lines, bytes and SHA-256."""
    checked_bytes: int = 0
    checked_sha256: str = ""


class OutputFile:
    """OUT, open for more lines; `resumed` says what it has already. Nothing on disk changes before `begin`.

    run: what the answers depend on (task, version, ...), by names for people. overwrite: start again. FileError where
    OUT was begun with other values, was not written by this program, or is being written by another process.
    """

    def __init__(self, path: Path, run: Json, overwrite: bool = False, lines_path: Path | None = None) -> None:
        self.path, self.bad_path = path, path.with_name(path.name + ".bad")
        self.lines_path = lines_path or path  # the file that has a line per answer
        self.state_path = path.with_name(path.name + ".state")
        self._run = dict(run)
        self._last_answered = 0  # line in the input of the last answer
        self._position: Position | None = None  # how far this run has processed the input
        self._saved = -SAVE_EVERY
        self._bad: IO[bytes] | None = None
        self.finished = False  # nothing is left to do, and what the runs worked on is gone
        self._new = not self.lines_path.exists()
        nothing_there = self._new and not path.exists()
        self._out: IO[bytes] = self.lines_path.open("ab")
        try:
            _lock(self._out, path)
            self.resumed = Resumed() if overwrite or nothing_there else self._read_state()
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Remove what is not kept: everything when starting again, else what a kill left half written."""
        if self.resumed.lines == 0:
            with writing(self.state_path):
                self.state_path.unlink(missing_ok=True)
        with writing(self.bad_path):
            cut_bad_lines(self.bad_path, self.resumed.lines)
        with writing(self.lines_path):
            self._out.truncate(whole_lines(self.lines_path) if self.resumed.lines else 0)
        if self.resumed.lines == 0:
            self.save(Position())
        self._new = False

    def answer(self, record: Record, reply: Reply) -> None:
        """Write the answer to a line of the input."""
        self._write_answer(answer_line(record, reply), record.line.position)

    def _write_answer(self, line: bytes, position: Position) -> None:
        """Write the line of an answer; position: the end of its line in the input."""
        self._write(self._out, line)
        self._last_answered = position.lines
        self._processed(position)

    def bad(self, line: bytes, position: Position) -> None:
        """Write the report of a line that has no answer."""
        if self._bad is None:
            with writing(self.bad_path):
                self._bad = self.bad_path.open("ab")
        self._write(self._bad, line)
        self._processed(position)

    def close(self, end: Position | None = None) -> None:
        """Save how far the input has been processed, and close; end: the end of the input, where all of it has been."""
        try:
            position = end or self._position
            if position is not None and not self.finished:
                self.save(position)
        finally:
            for file in (self._out, self._bad):
                if file is not None:
                    with suppress(OSError):  # a failed flush was reported when the line was written
                        file.close()
            if self._new:  # created by opening it, and never begun
                self.lines_path.unlink(missing_ok=True)

    def _write(self, file: IO[bytes], line: bytes) -> None:
        with writing(file.name):
            file.write(line)
            file.flush()

    def _processed(self, position: Position) -> None:
        self._position = position
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self.save(position)
            self._saved = time.monotonic()

    def synced(self) -> Iterator[IO[bytes]]:
        """The open files that must be on the disk before the state is."""
        for file in (self._bad, self._out):
            if file is not None and not file.closed:
                yield file

    def save(self, position: Position, finished: bool = False) -> None:
        """Record how far the input has been processed; finished: only the output is kept from now on."""
        state = {
            "state": STATE,
            "run": self._run,
            "lines": position.lines,
            "bytes": position.bytes,
            "sha256": position.sha256,
            "last_answered": self._last_answered,
            **({"finished": count_lines(self.lines_path)} if finished else {}),
        }
        partial = self.state_path.with_name(self.state_path.name + ".partial")
        with writing(self.state_path):
            for file in self.synced():  # the state must hold after a power failure too
                os.fsync(file.fileno())
            partial.write_text(json.dumps(state, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            os.replace(partial, self.state_path)

    def _read_state(self) -> Resumed:
        size = os.fstat(self._out.fileno()).st_size
        if not self.state_path.exists():
            if size == 0 and (self.lines_path is self.path or not self.path.exists()):
                return Resumed()
            raise FileError(
                f"{self.path} exists, but {self.state_path.name}, which describes it, does not: {START_AGAIN}"
            )
        try:
            state = json.loads(self.state_path.read_text(encoding="utf-8"))
            if state["state"] != STATE:
                raise ValueError(f"format {state['state']!r}")
            run, last_answered = dict(state["run"]), int(state["last_answered"])
            lines, size_read, sha256 = int(state["lines"]), int(state["bytes"]), str(state["sha256"])
            answers = int(state["finished"]) if "finished" in state and self.path.exists() else None
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{self.state_path} cannot be read ({error!r}): {START_AGAIN}") from None
        for name in {**run, **self._run}:
            old, new = run.get(name), self._run.get(name)
            if old != new:
                raise FileError(f"{self.path} was begun with {name} {old}, this run has {name} {new}: {START_AGAIN}")
        self.finished = answers is not None
        self._last_answered = last_answered if self.finished else last_line(self.lines_path)
        # After the last answer there may be only bad lines, and then the state alone knows of them.
        finished = lines if self._last_answered == last_answered else self._last_answered
        return Resumed(
            lines=finished,
            answered=count_lines(self.lines_path) if answers is None else answers,
            bad=sum(number <= finished for number, _ in bad_lines(self.bad_path)),
            checked_lines=lines,
            checked_bytes=size_read,
            checked_sha256=sha256,
        )


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}") from None


def _lock(file: IO[bytes], path: Path) -> None:
    """Lock the file: two runs that write it would mix their answers."""
    try:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileError(f"another run is writing {path}") from None
    except (ImportError, OSError):  # the system or file system has no locks: go without
        pass
