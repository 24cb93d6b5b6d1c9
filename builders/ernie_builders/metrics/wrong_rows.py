"""The files of wrong predictions: wrong.jsonl with all that is known, bad_case.txt in PaddleNLP's form."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.json_types import Json

WRONG, BAD_CASES = "wrong.jsonl", "bad_case.txt"
BREAKS = str.maketrans("\t\r\n", "   ")


@dataclass(frozen=True, kw_only=True)
class WrongRow:
    """An example with a wrong prediction."""

    line: int  # in its file
    texts: tuple[str, ...]
    about: Json  # what was expected and predicted, as `BuilderKind.wrong` says


def write_wrong(folder: Path, rows: Sequence[WrongRow]) -> None:
    """Write both files.

    bad_case.txt has a header and the columns Text, Label and Prediction, as PaddleNLP's text classification writes
    them; of an example with several texts there are Text_1, Text_2. Several labels have commas between, spans are JSON.
    Tabs and line breaks in a text become blanks, as that form cannot hold them; wrong.jsonl has the text as it is.
    """
    with (folder / WRONG).open("w", encoding="utf-8") as out:
        for row in rows:
            out.write(json.dumps({"line": row.line, **row.about}, ensure_ascii=False) + "\n")
    several = len(rows[0].texts) if rows else 1
    texts = ["Text"] if several == 1 else [f"Text_{number}" for number in range(1, several + 1)]
    with (folder / BAD_CASES).open("w", encoding="utf-8") as out:
        out.write("\t".join([*texts, "Label", "Prediction"]) + "\n")
        for row in rows:
            expected = _cell(row.about, ("expected", "missed"))
            predicted = _cell(row.about, ("predicted", "invented", "score", "error"))
            cells = [*row.texts, expected, predicted]
            out.write("\t".join(cell.translate(BREAKS) for cell in cells) + "\n")


def _cell(about: Json, names: tuple[str, ...]) -> str:
    """The value of the first name that the row has."""
    return next((_words(about[name]) for name in names if name in about), "")


def _words(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, list) and all(isinstance(part, str) for part in value):
        return ",".join(value)
    return json.dumps(value, ensure_ascii=False)
