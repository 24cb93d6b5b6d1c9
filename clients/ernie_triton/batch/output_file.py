"""The file of answers: it grows line by line, survives a kill, and knows which input and task it belongs to.

Three files. OUT holds an answer a line, OUT.bad the lines that have none, each written whole and in the input's order
as soon as it is known; so the last whole line of OUT tells where to go on. OUT.state tells what OUT was begun with and,
renewed every few seconds, how far the input was worked through: it proves that the input's beginning is still the
same, and that no answer is owed for bad lines behind the last answer.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from ..errors import FileError
from .jsonl_tail import bad_lines, count_lines, cut_bad_lines, last_line, whole_lines
from .lines import Mark

STATE = 1  # of the form of OUT.state
SAVE_EVERY = 5.0  # seconds
AGAIN = "give another --output, or --overwrite to start again"


@dataclass(frozen=True)
class Done:
    """What earlier runs left: the lines of the input that need no more work, and what they gave."""

    lines: int = 0
    answered: int = 0
    bad: int = 0
    checked_lines: int = 0
    """Of the input's beginning, which must be what it was: so many lines, bytes, and their SHA-256."""
    checked_bytes: int = 0
    checked_sha256: str = ""


class OutputFile:
    """OUT, open for more lines; `done` says what it has already. What is on disk stays as it is until `begin`.

    run: what the answers depend on (task, version, ...), by names for people. overwrite: start again. FileError where
    OUT was begun with something else, is not ours, or another process writes it.
    """

    def __init__(self, path: Path, run: Mapping[str, Any], overwrite: bool = False) -> None:
        self.path, self.bad_path = path, path.with_name(path.name + ".bad")
        self.state_path = path.with_name(path.name + ".state")
        self._run = dict(run)
        self._last_answered = 0  # its line in the input
        self._mark: Mark | None = None  # what this run worked through
        self._saved = -SAVE_EVERY
        self._bad: IO[bytes] | None = None
        self._new = not path.exists()
        self._out: IO[bytes] = path.open("ab")
        try:
            _lock(self._out, path)
            self.done = Done() if overwrite or self._new else self._earlier()
        except BaseException:
            self.close()
            raise

    def begin(self) -> None:
        """Cut off what is not kept: all when starting again, else what a kill left half written."""
        if self.done.lines == 0:
            with _writing(self.state_path):
                self.state_path.unlink(missing_ok=True)
        with _writing(self.bad_path):
            cut_bad_lines(self.bad_path, self.done.lines)
        with _writing(self.path):
            self._out.truncate(whole_lines(self.path) if self.done.lines else 0)
        if self.done.lines == 0:
            self._save(Mark())
        self._new = False

    def answer(self, line: bytes, mark: Mark) -> None:
        """Write an answer; `mark` is the end of its line in the input."""
        self._write(self._out, line)
        self._last_answered = mark.lines
        self._worked(mark)

    def bad(self, line: bytes, mark: Mark) -> None:
        """Write the report of a line that has no answer."""
        if self._bad is None:
            with _writing(self.bad_path):
                self._bad = self.bad_path.open("ab")
        self._write(self._bad, line)
        self._worked(mark)

    def close(self, end: Mark | None = None) -> None:
        """Save how far the input was worked through, all of it where its end is given, and close."""
        try:
            mark = end or self._mark
            if mark is not None:
                self._save(mark)
        finally:
            for file in (self._out, self._bad):
                if file is not None:
                    with suppress(OSError):  # what could not be flushed was told when it was written
                        file.close()
            if self._new:  # made by opening it, and never begun
                self.path.unlink(missing_ok=True)

    def _write(self, file: IO[bytes], line: bytes) -> None:
        with _writing(file.name):
            file.write(line)
            file.flush()

    def _worked(self, mark: Mark) -> None:
        self._mark = mark
        if time.monotonic() - self._saved >= SAVE_EVERY:
            self._save(mark)
            self._saved = time.monotonic()

    def _save(self, mark: Mark) -> None:
        state = {
            "state": STATE,
            "run": self._run,
            "lines": mark.lines,
            "bytes": mark.bytes,
            "sha256": mark.sha256,
            "last_answered": self._last_answered,
        }
        partial = self.state_path.with_name(self.state_path.name + ".partial")
        with _writing(self.state_path):
            for file in (self._bad, self._out):  # what the state says must be true after a power failure too
                if file is not None:
                    os.fsync(file.fileno())
            partial.write_text(json.dumps(state, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
            os.replace(partial, self.state_path)

    def _earlier(self) -> Done:
        size = os.fstat(self._out.fileno()).st_size
        if not self.state_path.exists():
            if size == 0:
                return Done()
            raise FileError(f"{self.path} is there, but not {self.state_path.name} which tells what it is: {AGAIN}")
        try:
            state = json.loads(self.state_path.read_text(encoding="utf-8"))
            if state["state"] != STATE:
                raise ValueError(f"form {state['state']!r}")
            run, last_answered = dict(state["run"]), int(state["last_answered"])
            lines, read, sha256 = int(state["lines"]), int(state["bytes"]), str(state["sha256"])
        except (ValueError, KeyError, TypeError) as error:
            raise FileError(f"{self.state_path} cannot be read ({error!r}): {AGAIN}") from None
        for name in {**run, **self._run}:
            old, new = run.get(name), self._run.get(name)
            if old != new:
                raise FileError(f"{self.path} was begun with {name} {old}, this run has {name} {new}: {AGAIN}")
        self._last_answered = last_line(self.path)
        # Behind the last answer there may be bad lines only, and then the state alone knows of them.
        done = lines if self._last_answered == last_answered else self._last_answered
        bad = sum(number <= done for number, _ in bad_lines(self.bad_path))
        return Done(done, count_lines(self.path), bad, lines, read, sha256)


@contextmanager
def _writing(path: str | Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise FileError(f"{path} cannot be written: {error.strerror}") from None


def _lock(file: IO[bytes], path: Path) -> None:
    """Two runs that write one file would mix their answers."""
    try:
        import fcntl

        fcntl.flock(file.fileno(), fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise FileError(f"another run is writing {path}") from None
    except (ImportError, OSError):  # no such system or file system: go without
        pass
