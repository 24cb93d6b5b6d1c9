"""SQuAD's JSON: CMRC2018, DRCD, SQuAD 1.1 and 2.0."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ernie_runtime.json_types import Json, JsonObject

from ..errors import DataError
from . import Example
from .files.lines import check_text, lines

MAX_DRIFT = 8  # characters: published starts count leading blanks that the published text no longer has
NOT_IN_TEXT = -1  # answer_start of a reference that is not part of the context (CMRC2018's dev set has some)


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """Texts: question and context; target: {"id", "answers": [{"text", "start"}]}.

    `start` is in characters of the context; -1 where the file says so: such a reference is used for scoring only. A
    question without answers is one that the context does not answer (SQuAD 2.0). An answer up to MAX_DRIFT characters
    away from its answer_start is taken where it is; one farther away is an error.
    """
    del columns, split
    text = "\n".join(line for _, line in lines(path))
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    position = _Position(text)
    for article in _items(raw, "data", f"{path}"):
        for paragraph in _items(article, "paragraphs", f"{path}:{position.line}"):
            context = _text(paragraph, "context", f"{path}:{position.line}: a paragraph")
            for question in _items(paragraph, "qas", f"{path}:{position.line}"):
                id = question.get("id") if isinstance(question, dict) else None
                if not isinstance(id, (str, int)) or isinstance(id, bool):
                    raise DataError(f"{path}:{position.line}: a question after this line has no `id`")
                location = f"{path}:{position.move_to(id)}: question {id}"
                target = {
                    "id": str(id),
                    "answers": [_answer(a, context, location) for a in _answers(question, location)],
                }
                yield Example((_text(question, "question", location), context), target, position.line)


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


def _text(value: Any, name: str, location: str) -> str:
    """The string value[name], which must not be blank."""
    text = value.get(name) if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{location}: field {name!r} must be a text, found {text!r}")
    check_text(text, f"{location}: field {name!r}")
    return text


def _answers(question: Json, location: str) -> list[Any]:
    """The question's answers; none where it is marked as impossible to answer."""
    answers = question.get("answers")
    if question.get("is_impossible") is True:
        return []
    if not isinstance(answers, list):
        raise DataError(f"{location}: expected the list 'answers'")
    return answers


def _answer(answer: Any, context: str, location: str) -> JsonObject:
    """{"text", "start"} of one reference, with its start corrected by up to MAX_DRIFT characters."""
    text = _text(answer, "text", f"{location}: an answer")
    start = answer.get("answer_start")
    if not isinstance(start, int) or isinstance(start, bool) or start < NOT_IN_TEXT:
        raise DataError(f"{location}: answer_start must be a whole number (-1: not in the text), found {start!r}")
    if start == NOT_IN_TEXT or context.startswith(text, start):
        return {"text": text, "start": start}
    starts = [i for i in range(max(0, start - MAX_DRIFT), start + MAX_DRIFT + 1) if context.startswith(text, i)]
    if not starts:
        raise DataError(
            f"{location}: answer_start {start} and the {MAX_DRIFT} characters around it do not hold the answer "
            f"{text[:40]!r}; correct it, or give -1 for an answer that is not in the text"
        )
    return {"text": text, "start": min(starts, key=lambda i: abs(i - start))}
