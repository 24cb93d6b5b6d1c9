"""Questions about a text with their answers, in the forms that data sets are published in."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ernie_runtime.json_types import Json

from ...errors import DataError
from .columnar import PARQUET
from .json_values import json_values
from .lines import check_text, read_file
from .report import Report
from .table import open_table

NOT_IN_TEXT = -1  # answer_start of an answer whose position is not given
CONTEXTS, QUESTIONS, IDS = ("context", "context_text"), ("question", "query_text"), ("id", "query_id", "question_id")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A reference, and where the file says that it begins."""

    text: str
    start: int  # in the file's unit; NOT_IN_TEXT where the file does not say


@dataclass(frozen=True, kw_only=True)
class Question:
    """A question about a context; without answers where the context has none."""

    line: int
    id: str
    question: str
    context: str
    answers: Sequence[Answer]


def questions(path: Path, report: Report) -> Iterator[Question]:
    """The questions of a file, in order; DataError names file, line and question.

    - SQuAD: {"data": [{"paragraphs": [{"context", "qas": [{"id", "question", "answers": [{"text",
      "answer_start"}], "is_impossible"}]}]}]}, or the list of articles alone. CMRC2018's first release calls these
      context_text, query_id, query_text, and an answer is its text.
    - Rows (JSON lines or array, parquet, a datasets folder) with id, question, context and `answers`: {"text": [...],
      "answer_start": [...]}, or a list of texts with `answer_starts` beside it.
    - DuReader's rows with `documents`: the context is the selected documents' most related paragraphs.
    """
    if path.is_dir() or _begins(path, PARQUET):
        for line, row in open_table(path, report).rows:
            yield _from_row(row, path, line)
        return
    decoded = read_file(path, report)
    _, values = json_values(path, decoded)
    position = _Position(decoded.text)
    empty = True
    for line, value in values:
        empty = False
        if isinstance(value, dict) and "data" in value and "question" not in value:
            for article in _items(value, "data", f"{path}"):
                yield from _from_article(article, path, position)
        elif isinstance(value, dict) and ("question" in value or "query_text" in value):
            yield _from_row(value, path, line)
        else:
            yield from _from_article(value, path, position, named=isinstance(value, dict) and "paragraphs" in value)
    if empty:
        raise DataError(f"{path}: not JSON (the file is empty)")


def _from_article(article: Any, path: Path, position: _Position, named: bool = True) -> Iterator[Question]:
    if isinstance(article, dict) and "paragraphs" not in article and "qas" in article:
        paragraphs = [article]  # CMRC2018's first release
    elif not named:
        raise DataError(f"{path}: expected a JSON object with the list 'data', as SQuAD's format has it")
    else:
        paragraphs = _items(article, "paragraphs", f"{path}:{position.line}")
    for paragraph in paragraphs:
        context = _text(paragraph, CONTEXTS, f"{path}:{position.line}: a paragraph")
        for question in _items(paragraph, "qas", f"{path}:{position.line}"):
            id = _first(question, IDS) if isinstance(question, dict) else None
            if not isinstance(id, (str, int)) or isinstance(id, bool):
                raise DataError(f"{path}:{position.line}: a question after this line has no `id`")
            line = position.move_to(id)
            yield _question(question, str(id), context, f"{path}:{line}", line)


def _from_row(row: Json, path: Path, line: int) -> Question:
    id = _first(row, IDS)
    id = str(line) if id is None else str(id)
    where = f"{path}:{line}: question {id}"
    context = _documents(row, where) if "documents" in row else _text(row, CONTEXTS, where)
    return _question(row, id, context, f"{path}:{line}", line)


def _question(question: Json, id: str, context: str, place: str, line: int) -> Question:
    where = f"{place}: question {id}"
    answers = [] if question.get("is_impossible") is True else list(_answers(question, where))
    text = _text(question, QUESTIONS, where)
    return Question(line=line, id=id, question=text, context=context, answers=answers)


def _documents(row: Json, where: str) -> str:
    """The paragraphs of DuReader that may hold the answer."""
    documents = [document for document in _items(row, "documents", where) if isinstance(document, dict)]
    chosen = [document for document in documents if document.get("is_selected", True)] or documents
    parts = []
    for document in chosen:
        paragraphs = [text for text in _items(document, "paragraphs", where) if isinstance(text, str)]
        related = document.get("most_related_para")
        parts += paragraphs[related : related + 1] if type(related) is int and related >= 0 else paragraphs
    context = "\n".join(part for part in parts if part.strip())
    if not context:
        raise DataError(f"{where}: its documents have no paragraphs")
    check_text(context, where)
    return context


def _answers(question: Json, where: str) -> Iterator[Answer]:
    answers: Any = question.get("answers")
    starts: Any = question.get("answer_starts")
    if isinstance(answers, Mapping):  # of columns
        answers, starts = answers.get("text"), answers.get("answer_start")
    if not isinstance(answers, list):
        raise DataError(f"{where}: expected the list 'answers'")
    given: Iterable[Any] = [None] * len(answers) if starts is None else starts
    if not isinstance(given, list) or len(given) != len(answers):
        raise DataError(f"{where}: {len(answers)} answers, and not as many starts")
    for answer, start in zip(answers, given, strict=True):
        if isinstance(answer, Mapping):
            start = answer.get("answer_start")
        text = _text({"text": answer} if isinstance(answer, str) else answer, ("text",), f"{where}: an answer")
        start = NOT_IN_TEXT if start is None else start
        if not isinstance(start, int) or isinstance(start, bool) or start < NOT_IN_TEXT:
            raise DataError(f"{where}: answer_start must be a whole number (-1: not in the text), found {start!r}")
        yield Answer(text=text, start=start)


class _Position:
    """The line of the current question, found by its id: the JSON parser reports no lines."""

    def __init__(self, text: str) -> None:
        self.text, self.offset, self.line = text, 0, 1

    def move_to(self, id: str | int) -> int:
        """The line of the next question with that id; the current line where the id is escaped in another way."""
        offset = self.text.find(json.dumps(id, ensure_ascii=False), self.offset) if isinstance(id, str) else -1
        if offset >= 0:
            self.line += self.text.count("\n", self.offset, offset)
            self.offset = offset
        return self.line


def _items(value: Any, name: str, location: str) -> list[Any]:
    """The list value[name]."""
    items = value.get(name) if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise DataError(f"{location}: expected a JSON object with the list {name!r}, as SQuAD's format has it")
    return items


def _first(value: Json, names: Sequence[str]) -> Any:
    return next((value[name] for name in names if name in value), None)


def _text(value: Any, names: Sequence[str], location: str) -> str:
    """The string under the first of these names, which must not be blank."""
    text = _first(value, names) if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{location}: field {names[0]!r} must be a text, found {text!r}")
    check_text(text, f"{location}: field {names[0]!r}")
    return text


def _begins(path: Path, mark: bytes) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(mark)) == mark
    except OSError:
        return False  # the reader of text says why
