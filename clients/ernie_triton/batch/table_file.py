"""The answers as a table, OUT.csv or OUT.tsv: a row per answered line, the columns of the input, then the answer's."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path

from ernie_runtime.json_types import Json

from .converted_file import ConvertedFile
from .output_lines import free_key

LINE, RESULT = "line", "result"


class TableFile(ConvertedFile):
    """OUT.csv begins with a byte order mark, without which Excel takes it for another encoding; OUT.tsv does not.

    Both are quoted where a cell asks for it. A list or object of RESULT is one cell of JSON.
    """

    def convert(self, path: Path, lines: int) -> None:
        """Two passes over the answers: the names of the columns, then the rows. Memory does not grow with the input."""
        names, rows = self.columns()
        is_csv = self.path.suffix.lower() == ".csv"
        encoding = "utf-8-sig" if is_csv else "utf-8"
        with path.open("w", encoding=encoding, errors="backslashreplace", newline="") as out:
            writer = csv.writer(out, delimiter="," if is_csv else "\t", lineterminator="\n")
            writer.writerow([LINE, *names])
            for row in rows():
                writer.writerow([row[LINE], *(cell_text(row[name]) for name in names)])
            out.flush()
            os.fsync(out.fileno())

    def columns(self) -> tuple[list[str], Callable[[], Iterator[dict[str, object]]]]:
        """The names of the columns behind `line`, and what reads the rows, with a value or None for each of them."""
        carried: dict[str, None] = {}
        results: dict[str, None] = {}
        for answer in self.answered():
            row = _Row(answer)
            carried |= dict.fromkeys(row.carried)
            results |= dict.fromkeys(row.results)
        reserved = {LINE, *results}
        names = {key: free_key(key, reserved, carried) for key in carried}

        def rows() -> Iterator[dict[str, object]]:
            for answer in self.answered():
                row = _Row(answer)
                inputs = {name: row.carried.get(key) for key, name in names.items()}
                yield {LINE: answer[LINE], **inputs, **{key: row.results.get(key) for key in results}}

        return [*names.values(), *results], rows


class _Row:
    """The columns of one answer."""

    def __init__(self, answer: Json) -> None:
        keys = list(answer)
        at = keys.index(RESULT)
        self.carried = {key: answer[key] for key in keys[1:at]}
        self.results = dict(_columns(answer[RESULT])) | {key: answer[key] for key in keys[at + 1 :]}


def _columns(result: Json) -> Iterator[tuple[str, object]]:
    """The columns of a RESULT: its keys, of several answers the best one's too, and paths as people write them."""
    for key, value in result.items():
        if key == "answers" and isinstance(value, list):
            best = value[0] if value else {}
            yield from (("answer" if name == "text" else name, best.get(name)) for name in ("text", "score"))
        if key == "paths" and isinstance(value, list):
            yield key, "; ".join(" > ".join(path) for path in value)
        else:
            yield key, value


def cell_text(value: object) -> str:
    """A value as text: a list or object as JSON, none as an empty cell."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
