"""The vectors of a file of texts as one array: OUT.npy, a row per line of the input, or OUT.npz, with ids.

While a run works, OUT.lines has a JSON line per answered text (its line and id) and OUT.rows its vector; OUT itself is
made of them at the end. Memory does not grow with the input.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import numpy as np

from ernie_runtime.json_types import Json
from ernie_runtime.names import EMBEDDING

from ..errors import FileError
from ..replies import Reply
from .converted_file import ConvertedFile
from .lines import Position
from .output_file import START_AGAIN, writing
from .records import Record

CHUNK = 4096  # rows that are copied together
DTYPE = np.dtype("<f4")


class VectorFile(ConvertedFile):
    """OUT.npy: float32 [lines of the input, D], row i is line i + 1, NaN where a line has no answer (or is empty).

    OUT.npz: `vectors`, float32 [answered lines, D], and their `ids`: the value of the input's key or column `id` where
    all lines have one (int64 or str), else the numbers of the lines.
    """

    def __init__(self, path: Path, run: Json, dimension: int, overwrite: bool = False) -> None:
        self.dimension = dimension
        self._rows_path = path.with_name(path.name + ".rows")
        self._rows: IO[bytes] | None = None
        super().__init__(path, run, overwrite)

    def begin(self) -> None:
        """Remove what is not kept, as for a file of answers; a finished array stays as it is."""
        if self.finished:
            return
        super().begin()
        size = self.resumed.answered * self.dimension * DTYPE.itemsize
        with writing(self._rows_path):
            self._rows = self._rows_path.open("ab")
            if self._rows.tell() < size:
                raise FileError(f"{self._rows_path} has lost vectors that {self.lines_path.name} names: {START_AGAIN}")
            self._rows.truncate(size)

    def answer(self, record: Record, reply: Reply) -> None:
        """Keep a vector, and then its line: a line without a vector would count as answered."""
        self.check_begun()
        assert self._rows is not None
        vector = np.ascontiguousarray(reply.numeric[EMBEDDING], DTYPE)
        if vector.shape != (self.dimension,):
            raise FileError(f"line {record.line.number} has a vector of {vector.size} numbers, not {self.dimension}")
        self._write(self._rows, vector.tobytes())
        id = record.carried.get("id")
        named = {"id": id} if type(id) in (int, str) else {}
        line = json.dumps({"line": record.line.number, **named}) + "\n"
        self._write_answer(line.encode("ascii"), record.line.position)

    def close(self, end: Position | None = None) -> None:
        """Save how far the input has been processed, and where all of it has been, write the array."""
        try:
            super().close(end)
        finally:
            if self._rows is not None:
                self._rows.close()
        if end is not None and self._rows is not None:
            self._rows_path.unlink()

    def convert(self, path: Path, lines: int) -> None:
        """Write the array."""
        if self.path.suffix.lower() == ".npy":
            self._write_npy(path, lines)
        else:
            self._write_npz(path)

    def synced(self) -> Iterator[IO[bytes]]:
        """The vectors too must be on the disk when the state says so."""
        if self._rows is not None and not self._rows.closed:
            yield self._rows
        yield from super().synced()

    def _write_npy(self, path: Path, lines: int) -> None:
        """Every line of the input has a row, so that no further file says which row is whose."""
        with path.open("wb") as out, self._rows_path.open("rb") as rows:
            _header(out, (lines, self.dimension))
            chunk = np.full((CHUNK, self.dimension), np.nan, DTYPE)
            start = 0  # line number of the chunk's first row, less 1
            for record in self.answered():
                while record["line"] > start + CHUNK:
                    out.write(chunk.tobytes())
                    chunk[:] = np.nan
                    start += CHUNK
                chunk[record["line"] - 1 - start] = self._read(rows, 1)
            while start < lines:
                out.write(chunk[: lines - start].tobytes())
                chunk[:] = np.nan
                start += CHUNK
            out.flush()
            os.fsync(out.fileno())

    def _write_npz(self, path: Path) -> None:
        records = list(self.answered())
        named = all("id" in record for record in records)
        ids = [record["id" if named else "line"] for record in records]
        whole = all(type(id) is int and abs(id) < 2**63 for id in ids)
        array = np.array(ids, np.int64) if whole else np.array([str(id) for id in ids], np.str_)
        with (
            path.open("wb") as out,
            zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as archive,
            self._rows_path.open("rb") as rows,
        ):
            with archive.open("vectors.npy", "w", force_zip64=True) as member:
                _header(member, (len(ids), self.dimension))
                for start in range(0, len(ids), CHUNK):
                    member.write(self._read(rows, min(CHUNK, len(ids) - start)).tobytes())
            with archive.open("ids.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, array, allow_pickle=False)  # type: ignore[no-untyped-call]

    def _read(self, rows: IO[bytes], count: int) -> np.ndarray:
        """The next vectors, [count, D]."""
        content = rows.read(count * self.dimension * DTYPE.itemsize)
        return np.frombuffer(content, DTYPE).reshape(count, self.dimension)


def _header(out: IO[bytes], shape: tuple[int, int]) -> None:
    header = {"descr": DTYPE.str, "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(out, header)  # type: ignore[no-untyped-call]
