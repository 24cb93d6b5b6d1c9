"""The answers as a table, OUT.csv or OUT.tsv: a row per answered line, the columns of the input, then the answer's."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Iterator
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
        carried: dict[str, None] = {}
        results: dict[str, None] = {}
        for answer in self.answered():
            row = _Row(answer)
            carried |= dict.fromkeys(row.carried)
            results |= dict.fromkeys(row.results)
        reserved = {LINE, *results}
        names = [free_key(key, reserved, carried) for key in carried]
        is_csv = self.path.suffix.lower() == ".csv"
        encoding = "utf-8-sig" if is_csv else "utf-8"
        with path.open("w", encoding=encoding, errors="backslashreplace", newline="") as out:
            writer = csv.writer(out, delimiter="," if is_csv else "\t", lineterminator="\n")
            writer.writerow([LINE, *names, *results])
            for answer in self.answered():
                row = _Row(answer)
                cells = [*map(row.carried.get, carried), *map(row.results.get, results)]
                writer.writerow([answer[LINE], *map(_cell, cells)])
            out.flush()
            os.fsync(out.fileno())


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


def _cell(value: object) -> str:
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
