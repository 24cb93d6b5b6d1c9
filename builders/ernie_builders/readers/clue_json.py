"""Single texts or pairs with a label, as JSON lines: the classification tasks of CLUE."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

from ..errors import ConfigError, DataError
from . import Example
from .files.lines import check_text, json_rows


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """columns: `text` (and `text_pair`), `label` -> the names in the file; target: the label.

    A text that is a list of strings (CSL's keywords) is joined with spaces. columns may have `drop`: rows with this
    label are left out (OCNLI's "-": its annotators did not agree).
    """
    del split
    missing = [key for key in ("text", "label") if key not in columns]
    if missing:
        raise ConfigError(
            f"data.fields must name the file's {' and '.join(missing)}, "
            'such as { text = "sentence", label = "label" }'
        )
    names = [columns[key] for key in ("text", "text_pair") if key in columns]
    for number, row in json_rows(path, f"{', '.join(names)} and {columns['label']}"):
        for name in (*names, columns["label"]):
            if name not in row:
                raise DataError(f"{path}:{number}: field {name!r} is missing; found {', '.join(row) or 'none'}")
        for name in names:
            if isinstance(row[name], list) and all(isinstance(part, str) for part in row[name]):
                row[name] = " ".join(row[name])
            if not isinstance(row[name], str):
                raise DataError(f"{path}:{number}: field {name!r} must be a string, found {row[name]!r}")
            check_text(row[name], f"{path}:{number}: field {name!r}")
        label = row[columns["label"]]
        if not isinstance(label, (str, int)) or isinstance(label, bool):
            raise DataError(
                f"{path}:{number}: field {columns['label']!r} must be a string or a whole number, found {label!r}"
            )
        if str(label) == columns.get("drop"):
            continue
        yield Example(tuple(row[name] for name in names), str(label), number)
