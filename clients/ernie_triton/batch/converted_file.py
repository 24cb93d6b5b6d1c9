"""An output that is made at the end of a run: until then OUT.lines has a JSON line per answer.

OUT.lines grows, and is resumed, as a file of answers is.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

from ernie_runtime.json_types import Json

from ..errors import FileError
from ..replies import Reply
from .lines import Position
from .output_file import START_AGAIN, OutputFile, writing
from .records import Record


class ConvertedFile(OutputFile):
    """OUT, which `convert` makes of OUT.lines once all of the input has been processed."""

    def __init__(self, path: Path, run: Json, overwrite: bool = False) -> None:
        self._begun = False
        super().__init__(path, run, overwrite, lines_path=path.with_name(path.name + ".lines"))

    def begin(self) -> None:
        """Remove what is not kept, as for a file of answers; a finished output stays as it is."""
        if self.finished:
            return
        super().begin()
        self._begun = True
        with writing(self.path):
            self.path.unlink(missing_ok=True)

    def answer(self, record: Record, reply: Reply) -> None:
        """Write the answer to a line of the input."""
        self.check_begun()
        super().answer(record, reply)

    def bad(self, line: bytes, position: Position) -> None:
        """Report a line that has no answer."""
        self.check_begun()
        super().bad(line, position)

    def close(self, end: Position | None = None) -> None:
        """Save how far the input has been processed, and where all of it has been, make the output."""
        super().close(end)
        if end is None or not self._begun:
            return
        partial = self.path.with_name(self.path.name + ".partial")
        with writing(partial):
            self.convert(partial, end.lines)
            os.replace(partial, self.path)
        self.save(end, finished=True)
        self.lines_path.unlink()

    def convert(self, path: Path, lines: int) -> None:
        """Write the output to a path, and to the disk; lines: of the input."""
        raise NotImplementedError

    def check_begun(self) -> None:
        """FileError where an earlier run has finished the output."""
        if not self._begun:
            raise FileError(f"{self.path} is finished, and the input has more lines now: {START_AGAIN}")

    def answered(self) -> Iterator[Json]:
        """The objects of OUT.lines, in order."""
        with self.lines_path.open("rb") as lines:
            for line in lines:
                yield json.loads(line)
