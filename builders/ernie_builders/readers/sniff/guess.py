"""The format, columns and kind of one file, from its first rows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

from ernie_runtime.errors import ManifestError
from ernie_runtime.json_types import Json
from ernie_runtime.text.bio import parse_tag
from ernie_runtime.text_files import Decoded

from ...errors import DataError
from ..files.folder import parts_of
from ..files.json_values import json_values
from ..files.lines import read_file
from ..files.report import Report
from ..files.spans import spans_of
from ..files.table import Table, is_json, open_table
from ..files.tags import SEPARATOR, split_tagged
from . import names
from .names import named

ROWS = 2000  # that columns are guessed from
FEW = 0.5  # a column with fewer different values than this share of the rows may be labels
UNDECIDED = "-"  # OCNLI's label of such rows
BINARY = (b"PAR1", b"PK\x03\x04", b"\xd0\xcf\x11\xe0")


@dataclass(frozen=True, kw_only=True)
class Guess:
    """How to read a file."""

    container: str
    format: str
    fields: Mapping[str, str]
    kind: str
    reasons: tuple[str, ...]
    class_names: tuple[str, ...] = ()  # of labels that are numbers
    name_column: str = ""  # that holds readable names of labels
    other_columns: tuple[str, ...] = field(default=())


def guess(path: Path, listed: Collection[str] = ()) -> Guess:
    """How to read a file; DataError where nothing fits, or no label can be seen.

    listed: labels that a file of labels beside it names.
    """
    path = parts_of(path)[0]
    if path.is_dir() or _is_binary(path):
        return _table(path, listed)
    decoded = read_file(path, Report())
    if is_json(path, decoded):
        return _json(path, decoded, listed)
    lines = [line for _, line in islice(decoded.lines(), ROWS)]
    if all(line.startswith("<") or not line.strip() for line in lines):
        raise DataError(f"{path}: markup or an empty file; expected rows of text with labels")
    return _tagged_lines(path, lines) or _spoken(lines) or _table(path, listed)


def _is_binary(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8).startswith(BINARY)


def _json(path: Path, decoded: Decoded, listed: Collection[str]) -> Guess:
    is_array, values = json_values(path, decoded)
    _, first = next(values, (0, None))
    container = "a JSON array" if is_array else "JSON lines"
    keys = set(first) if isinstance(first, dict) else set()
    questions = {"paragraphs", "qas"} & keys or ("data" in keys and isinstance(first, dict) and not _is_task(first))
    if questions:
        reason = "paragraphs with questions and answers, as SQuAD has them"
        return _of(container="SQuAD's JSON", format="squad_json", kind="question_answering", reasons=(reason,))
    if keys & {"question", "query_text"} and keys & {"context", "context_text", "documents"} and "answers" in keys:
        reason = "rows with a question, its context and answers"
        return _of(container=container, format="squad_json", kind="question_answering", reasons=(reason,))
    if {"query", "candidates"} <= keys:
        target = "labels" if "labels" in keys else "positives"
        fields = {name: name for name in ("query", "candidates", target)}
        reason = f"rows with a query, its candidates and {target}"
        return _of(container=container, format="ranking_json", kind="ranking", reasons=(reason,), fields=fields)
    if isinstance(first, dict) and isinstance(first.get("target"), dict) and "span1_text" in first["target"]:
        reason = "rows with two spans, as CLUEWSC2020 has them"
        return _of(container=container, format="cluewsc_json", kind="sequence_classification", reasons=(reason,))
    return _table(path, listed)


def _is_task(value: Json) -> bool:
    return "annotations" in value or "completions" in value or isinstance(value.get("data"), str)


def _of(
    *, container: str, format: str, kind: str, reasons: tuple[str, ...], fields: Mapping[str, str] | None = None
) -> Guess:
    return Guess(container=container, format=format, fields=fields or {}, kind=kind, reasons=reasons)


def _tagged_lines(path: Path, lines: Sequence[str]) -> Guess | None:
    """A token and its tag on each line."""
    filled = [line for line in lines if line.strip() and not line.startswith("-DOCSTART-")]
    cells = [[cell for cell in line.replace(SEPARATOR, "\t").replace(" ", "\t").split("\t") if cell] for line in filled]
    tags = [row[-1].strip() for row in cells if len(row) >= 2]
    if len(tags) < 0.95 * len(filled) or not any(tag != "O" for tag in tags):
        return None
    try:
        roles = {parse_tag(tag)[0] for tag in tags}
    except ManifestError:
        return None
    scheme = "BIOES or BMES" if roles & {"E", "S"} else "BIO"
    reason = f"each line has a token and a tag in {scheme}, blank lines between sentences"
    return _of(container="columns", format="bio_columns", kind="token_classification", reasons=(reason,))


def _spoken(lines: Sequence[str]) -> Guess | None:
    rows = [line.split("\t") for line in lines if line.strip()]
    if rows and all(len(row) == 4 for row in rows) and any("</" in row[3] for row in rows):
        reason = "four columns, the last with <slot>tags</slot>, as NLPCC 2018 task 4 has them"
        fields = {"dev_percent": "10"}
        return _of(container="TSV", format="nlpcc_slu", kind="intent_slots", reasons=(reason,), fields=fields)
    return None


def _table(path: Path, listed: Collection[str]) -> Guess:
    try:
        table, may_have_header = open_table(path, Report()), True
    except DataError:  # such as two equal cells in the first row
        table, may_have_header = open_table(path, Report(), header=False), False
        _, first = next(iter(table.rows), (0, {}))
        if any(names.plain(str(cell)) in names.KNOWN for cell in first.values()):
            raise
    rows = [row for _, row in islice(table.rows, ROWS)]
    header = may_have_header and (table.typed or _has_header(table, rows))
    if not header:
        table = open_table(path, Report(), header=False)
        rows = [row for _, row in islice(table.rows, ROWS)]
    if not rows:
        raise DataError(f"{path}: no rows")
    return _Columns(path, table, rows, header, listed).guess()


def _has_header(table: Table, rows: Sequence[Json]) -> bool:
    """Whether the first row names the columns: it has a known name, or is unlike a column of few values."""
    if not rows or any(names.plain(name) in names.KNOWN for name in table.columns):
        return True
    for name in table.columns:
        values = Counter(str(row[name]) for row in rows)
        if len(values) <= FEW * len(rows) and name not in values:
            return len(name) < 20
    return False


class _Columns:
    """The columns of a table and what they may be."""

    def __init__(
        self, path: Path, table: Table, rows: Sequence[Json], header: bool, listed: Collection[str] = ()
    ) -> None:
        self.listed = listed
        self.path, self.table, self.rows, self.header = path, table, rows, header
        self.columns = list(table.columns)
        self.reasons = [] if header else ["the first row is no header: columns are 1, 2, ..."]

    def guess(self) -> Guess:
        """The first form that fits."""
        qid = named(self.columns, ("qid",))
        if qid and len(named(self.columns, ("texta", "textb", "label"))) == 3:
            reason = f"rows of a query and one candidate, grouped by {qid[0]!r}"
            return self._as("ranking", {}, reason, "ranking_groups")
        return self._tags() or self._entities() or self._labelled()

    def _values(self, column: str) -> list[object]:
        return [row[column] for row in self.rows if row.get(column) not in (None, "", [])]

    def _texts(self) -> list[str]:
        """Columns of texts, those with a known name first, then the longest."""
        is_text = [c for c in self.columns if all(isinstance(value, str) for value in self._values(c))]
        is_text = [c for c in is_text if self._values(c)]
        known = [column for column in named(is_text, names.TEXT) if column in is_text]
        longest = sorted(is_text, key=lambda c: -sum(len(str(value)) for value in self._values(c)))
        return list(dict.fromkeys([*known, *longest]))

    def _tags(self) -> Guess | None:
        for tags in named(self.columns, names.TAGS):
            for tokens in named(self.columns, names.TOKENS):
                if tokens == tags or not self._is_tagged(tokens, tags):
                    continue
                reason = f"{tags!r} has one tag for each token of {tokens!r}"
                return self._as("token_classification", {"text": tokens, "tags": tags}, reason)
        return None

    def _is_tagged(self, tokens: str, tags: str) -> bool:
        class_names = self.table.class_names.get(tags, ())
        try:
            for number, row in enumerate(self.rows[:100], 1):
                _, found = split_tagged(self.path, number, row.get(tokens), row.get(tags), class_names)
                for tag in found:
                    parse_tag(tag)
        except (DataError, ManifestError):
            return False
        return any(self._values(tags))

    def _entities(self) -> Guess | None:
        texts = self._texts()
        for column in dict.fromkeys([*named(self.columns, names.ENTITIES), *self.columns]):
            values = [value for value in self._values(column) if value not in ([], {}, "[]", "{}")]
            if not texts or not values or not all(map(_is_spans, values[:100])):
                continue
            text = next((name for name in texts if name != column), "")
            if not text:
                continue
            reason = f"{column!r} has labelled spans of {text!r}"
            intents = [name for name in named(self.columns, names.INTENT) if name not in (column, text)]
            if intents:
                fields = {"text": text, "intent": intents[0], "entities": column}
                return self._as("intent_slots", fields, f"{reason}, {intents[0]!r} an intent")
            return self._as("token_classification", {"text": text, "entities": column}, reason)
        return None

    def _labelled(self) -> Guess:
        scores = [column for column in named(self.columns, names.SCORE) if self._are_numbers(column)]
        label = next(iter(scores or self._labels()), "")
        if not label:
            raise DataError(f"{self.path}: no column looks like labels; it has {self._has()}")
        texts = [column for column in self._texts() if column != label and self._is_prose(column)]
        if not texts:
            raise DataError(f"{self.path}: no column looks like texts; it has {self._has()}")
        pair = next(iter(named(texts, names.PAIR)), "")
        if not self.header and len(self.columns) == 3 and len(texts) == 2:
            texts, pair = sorted(texts, key=self.columns.index), ""
            pair = texts[1]
        text = next(column for column in texts if column != pair) if len(texts) > bool(pair) else texts[0]
        fields = {"text": text, **({"text_pair": pair} if pair and pair != text else {})}
        if "text_pair" in fields and (scores or self._is_scale(label)):
            return self._as("similarity", {**fields, "score": label}, f"{label!r} has a number for each pair of texts")
        several = self._several(label)
        if several:
            return self._as("hierarchical_classification", {**fields, "labels": label}, several)
        if UNDECIDED in self._values(label):
            fields["drop"] = UNDECIDED
            self.reasons.append(f"rows labelled {UNDECIDED!r} have no label that annotators agree on: left out")
        kind = "pair_classification" if "text_pair" in fields else "sequence_classification"
        count = len({json.dumps(value, ensure_ascii=False) for value in self._values(label)})
        return self._as(kind, {**fields, "label": label}, f"{label!r} has {count} different values: classes")

    def _has(self) -> str:
        if self.header:
            return ", ".join(self.columns[:10])
        count = len(self.columns)
        return f"{count} column{'s' * (count != 1)} without a header"

    def _labels(self) -> list[str]:
        """Columns that may be labels, the likeliest first."""
        known = named(self.columns, names.LABEL)
        few = []
        for column in self.columns:
            values = [json.dumps(value, ensure_ascii=False, default=str) for value in self._values(column)]
            if values and 1 < len(set(values)) <= max(2, FEW * len(values)):
                few.append((len(set(values)), -self.columns.index(column), column))
        ordered = [column for *_, column in sorted(few)]
        return list(dict.fromkeys([*known, *(ordered if not known else [])]))

    def _is_prose(self, column: str) -> bool:
        """Whether the values are texts and not ids or numbers, by their name or their look."""
        if named([column], (*names.TEXT, *names.PAIR)):
            return True
        values = [str(value) for value in self._values(column)]
        return sum(any(char.isalpha() for char in value) for value in values) > FEW * len(values)

    def _are_numbers(self, column: str) -> bool:
        try:
            return all(float(str(value)) >= 0 for value in self._values(column)) and bool(self._values(column))
        except ValueError:
            return False

    def _is_scale(self, column: str) -> bool:
        """Whether the values are degrees: labels of inference are three, of paraphrase two."""
        return self._are_numbers(column) and len({str(value) for value in self._values(column)}) > 3

    def _several(self, column: str) -> str:
        """Why the values are several labels each; empty where they are one."""
        values = self._values(column)
        if any(isinstance(value, list) and len(value) > 1 for value in values):
            return f"{column!r} has lists of labels"
        texts = [value for value in values if isinstance(value, str)]
        if any("##" in text for text in texts):
            return f"{column!r} has labels with parents (parent##child)"
        joined = {text for text in texts if "," in text}
        parts = {part.strip() for text in texts for part in text.split(",")}
        alone = {part.strip() for text in joined for part in text.split(",")} & set(texts)
        if (
            joined
            and not joined & set(self.listed)
            and (len(parts) < len(set(texts)) or alone or parts <= set(self.listed))
        ):
            return f"{column!r} has labels with commas between"
        return ""

    def _as(self, kind: str, fields: Mapping[str, str], reason: str, format: str = "table") -> Guess:
        settings = {} if self.header else {"header": "no"}
        label = fields.get("label", "")
        readable = [name for name in named(self.columns, names.READABLE) if name not in fields.values()]
        return Guess(
            container=self.table.container,
            format=format,
            fields={**settings, **fields},
            kind=kind,
            reasons=(reason, *self.reasons),
            class_names=self.table.class_names.get(label, ()),
            name_column=readable[0] if label and readable else "",
            other_columns=tuple(c for c in self.columns if c and c not in fields.values() and format == "table"),
        )


def _is_spans(value: object) -> bool:
    try:
        return bool(spans_of(value, ""))
    except DataError:
        return False
