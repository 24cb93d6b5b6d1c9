"""Rows with columns: CSV, TSV, .xlsx, parquet, `datasets` folders, JSON lines, JSON arrays, doccano, Label Studio."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from ernie_runtime.json_types import Json

from ..errors import ConfigError, DataError
from . import Example, check_fields
from .files.lines import check_text
from .files.report import Report
from .files.spans import Marked, Span, in_characters, spans_of
from .files.table import Table, open_table
from .files.tags import TagError, joined, split_tagged, tag_spans

TEXTS, TARGETS = ("text", "text_pair"), ("label", "labels", "score", "entities", "tags")
SETTINGS = ("intent", "drop", "header", "sheet", "separator", "group")
NO, TRAIN = "no", "train"


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """columns: `text` (and `text_pair`), and one of these -> the names of the file's columns. The target is for

    - `label`: the label, a string; a list of one label is that label;
    - `labels`: the labels, sorted: a list, or a cell with `separator` (default ",") between;
    - `score`: a number;
    - `entities`: [[start, end, type], ...] in characters, from any form that `spans_of` reads;
    - `tags`: the same, from one tag a token: a list, or a cell with blanks or \\x02 between, as the text has then;
    - `intent`, with `entities` or `tags`: {"intent", "slots": [[start, end, slot, value], ...]}.

    `group` names a column (of a session, a user, a document) whose rows are held out together; only training rows need
    have it.
    Settings: `header = "no"`: there is none, and columns are called 1, 2, ...; `sheet` of a workbook; `drop`: rows
    with this label are left out (OCNLI's "-": its annotators did not agree). A text that is a list of strings (CSL's
    keywords) is joined with blanks.
    """
    report = report or Report()
    check_fields(columns, (*TEXTS, *TARGETS, *SETTINGS))
    targets = [name for name in TARGETS if name in columns]
    if "text" not in columns or len(targets) != 1:
        raise ConfigError(
            f"data.fields must name the file's text and one of {', '.join(TARGETS)}, "
            'such as { text = "sentence", label = "label" }'
        )
    table = open_table(path, report, header=columns.get("header") != NO, sheet=columns.get("sheet", ""))
    row_reader = _Rows(path=path, columns=columns, table=table, needs_group=split == TRAIN)
    if targets[0] in ("entities", "tags"):
        yield from row_reader.with_spans(targets[0], report)
        return
    for line, row in row_reader:
        if targets[0] == "label" and row_reader.is_unlabelled(row):
            report.add("rows without a label, left out", line)
            continue
        target = row_reader.target(line, row, targets[0])
        if target == columns.get("drop"):
            report.add(f"rows labelled {target!r}, left out as data.fields.drop says", line)
            continue
        yield Example(row_reader.texts(line, row), target, line, row_reader.group(line, row, report))


@dataclass(frozen=True, kw_only=True)
class _Rows:
    """The rows of a table, read as `columns` says."""

    path: Path
    columns: Mapping[str, str]
    table: Table
    needs_group: bool

    def __iter__(self) -> Iterator[tuple[int, Json]]:
        """(line, row) with all the columns that are asked for."""
        names = (*TEXTS, *TARGETS, "intent", *(["group"] if self.needs_group else []))
        wanted = [self.columns[name] for name in names if name in self.columns]
        if not self.table.typed and self.table.columns:
            for name in wanted:
                if name not in self.table.columns:
                    has = ", ".join(self.table.columns)
                    raise DataError(f"{self.path}:1: the header has no column {name!r}; it has {has}")
        for line, row in self.table.rows:
            for name in wanted:
                if name not in row and not self.table.sparse:
                    found = ", ".join(row) or "none"
                    raise DataError(f"{self.path}:{line}: field {name!r} is missing; found {found}")
            yield line, row

    def texts(self, line: int, row: Json) -> tuple[str, ...]:
        """The row's texts."""
        return tuple(self._text(line, row, self.columns[name]) for name in TEXTS if name in self.columns)

    def group(self, line: int, row: Json, report: Report) -> str:
        """The row's group; empty where it has none, or no group is asked for."""
        name = self.columns.get("group")
        if name is None or (not self.needs_group and name not in row):
            return ""
        value = row.get(name)
        if isinstance(value, (list, dict, bool)):
            raise DataError(f"{self.path}:{line}: field {name!r}: the group {value!r:.60} is no name and no number")
        group = "" if value is None else str(value).strip()
        if not group:
            report.add(f"rows without a {name!r}, each a group of its own", line)
        return group

    def _text(self, line: int, row: Json, name: str) -> str:
        value = row.get(name)
        if isinstance(value, list) and value and all(isinstance(part, str) for part in value):
            value = " ".join(value)
        if not self.table.typed and not isinstance(value, (list, dict)):
            value = "" if value is None else str(value)
        if not isinstance(value, str):
            raise DataError(f"{self.path}:{line}: field {name!r} must be a string, found {value!r}")
        check_text(value, f"{self.path}:{line}: field {name!r}")
        return value

    def is_unlabelled(self, row: Json) -> bool:
        """Whether the cell of the label is empty, or a list without one, as of rows that nobody has labelled yet."""
        value = row.get(self.columns["label"])
        if isinstance(value, dict) and set(value) == {"choices"}:
            value = value["choices"]
        return value is None or value == [] or (isinstance(value, str) and not value.strip())

    def target(self, line: int, row: Json, role: str) -> str | float | list[str]:
        """What the row is labelled with: `label`, `labels` or `score`."""
        name = self.columns[role]
        value, where = row.get(name), f"{self.path}:{line}: field {name!r}"
        if isinstance(value, dict) and set(value) == {"choices"}:  # Label Studio's JSON_MIN
            value = value["choices"]
        if role == "labels":
            return sorted(set(self._labels(value, where)))
        if isinstance(value, list) and role == "label":
            if len(value) != 1:
                raise DataError(f"{where} has {len(value)} labels; data.fields.labels names such a column")
            value = value[0]
        if role == "label":
            return _label(value, where)
        try:
            score = math.nan if isinstance(value, bool) else float(value)  # type: ignore[arg-type]
        except (TypeError, ValueError):
            score = math.nan
        if not math.isfinite(score):
            raise DataError(f"{where}: the score {value!r} is not a number")
        return score

    def _labels(self, value: object, where: str) -> list[str]:
        separator = self.columns.get("separator", ",")
        if isinstance(value, str) and value.lstrip().startswith("["):
            with suppress(ValueError, RecursionError):
                value = json.loads(value)
        if isinstance(value, str):
            value = value.split(separator) if value.strip() else []
        labels = [_label(item, where) for item in (value if isinstance(value, list) else [value])]
        if not all(labels):
            raise DataError(f"{where}: an empty label in {value!r:.60}")
        return labels

    def with_spans(self, role: str, report: Report) -> Iterator[Example]:
        """Examples whose target is spans, which are checked against each other: all of a file have one unit."""
        rows = list(self)
        if role == "tags":
            marked = list(self._from_tags(rows, report))
        else:
            name = self.columns[role]
            marked = [
                Marked(
                    line=line,
                    text=self._text(line, row, self.columns["text"]),
                    spans=spans_of(row.get(name), f"{self.path}:{line}: field {name!r}"),
                )
                for line, row in rows
            ]
        for (line, row), item, spans in zip(rows, marked, in_characters(self.path, marked, report), strict=True):
            texts = (item.text, *self.texts(line, row)[1:])
            target = self._span_target(line, row, item.text, spans)
            yield Example(texts, target, line, self.group(line, row, report))

    def _span_target(self, line: int, row: Json, text: str, spans: list[Span]) -> object:
        if "intent" not in self.columns:
            return [[span.start, span.end, span.label] for span in spans]
        slots = [[span.start, span.end, span.label, text[span.start : span.end]] for span in spans]
        name = self.columns["intent"]
        value = row.get(name)
        if isinstance(value, list) and len(value) == 1:
            value = value[0]
        return {"intent": _label(value, f"{self.path}:{line}: field {name!r}"), "slots": slots}

    def _from_tags(self, rows: list[tuple[int, Json]], report: Report) -> Iterator[Marked]:
        text_name, tag_name = self.columns["text"], self.columns["tags"]
        names = self.table.class_names.get(tag_name, ())
        split = [split_tagged(self.path, line, row.get(text_name), row.get(tag_name), names) for line, row in rows]
        glue = joined([tokens for tokens, _ in split])
        for (line, _), (tokens, tags) in zip(rows, split, strict=True):
            try:
                text, spans = tag_spans(tokens, tags, glue)
            except TagError as error:
                raise DataError(f"{self.path}:{line}: field {tag_name!r}: {error}") from None
            check_text(text, f"{self.path}:{line}: field {text_name!r}")
            yield Marked(line=line, text=text, spans=spans)


def _label(value: object, where: str) -> str:
    """A label as text: booleans as JSON writes them, blanks around it removed."""
    if isinstance(value, dict) and "label" in value and "start_offset" not in value:  # doccano's older exports
        value = value["label"]
    if isinstance(value, bool):
        return json.dumps(value)
    if not isinstance(value, (str, int)):
        raise DataError(f"{where} must be a string or a whole number, found {value!r}")
    return str(value).strip()
