"""SQuAD's JSON: CMRC2018, DRCD, SQuAD 1.1 and 2.0."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ..errors import DataError
from . import Example, check_text, lines

DRIFT = 8  # characters; published starts count blanks at the beginning of a text that the published text lacks
ABSENT = -1  # answer_start of a reference that is no part of the text (CMRC2018's dev set has some)


def read(path: Path, columns: Mapping[str, str], split: str = "") -> Iterator[Example]:
    """Texts: question and context; target: {"id", "answers": [{"text", "start"}]}.

    `start` counts characters of the context; -1 where the file says so: such a reference serves to measure only. A
    question without answers is one that the context does not answer (SQuAD 2.0). An answer that lies up to DRIFT
    characters beside its answer_start is taken where it lies; one that lies farther off is a fault.
    """
    del columns, split
    text = "\n".join(line for _, line in lines(path))
    try:
        raw = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{path}: not JSON ({error})") from None
    place = _Place(text)
    for article in _items(raw, "data", f"{path}"):
        for paragraph in _items(article, "paragraphs", f"{path}:{place.line}"):
            context = _text(paragraph, "context", f"{path}:{place.line}: a paragraph")
            for question in _items(paragraph, "qas", f"{path}:{place.line}"):
                id = question.get("id") if isinstance(question, dict) else None
                if not isinstance(id, (str, int)) or isinstance(id, bool):
                    raise DataError(f"{path}:{place.line}: a question after this line has no `id`")
                where = f"{path}:{place.move_to(id)}: question {id}"
                target = {"id": str(id), "answers": [_answer(a, context, where) for a in _answers(question, where)]}
                yield Example((_text(question, "question", where), context), target, place.line)


class _Place:
    """The line of the question that is read, found by its id; the JSON parser tells none."""

    def __init__(self, text: str) -> None:
        self.text, self.position, self.line = text, 0, 1

    def move_to(self, id: str | int) -> int:
        """The line on which the next question of that id is; the line before where it is written another way."""
        found = self.text.find(json.dumps(id, ensure_ascii=False), self.position) if isinstance(id, str) else -1
        if found >= 0:
            self.line += self.text.count("\n", self.position, found)
            self.position = found
        return self.line


def _items(value: Any, name: str, where: str) -> list[Any]:
    """The list value[name]."""
    items = value.get(name) if isinstance(value, dict) else None
    if not isinstance(items, list):
        raise DataError(f"{where}: expected a JSON object with the list {name!r}, as SQuAD's format has it")
    return items


def _text(value: Any, name: str, where: str) -> str:
    """The string value[name], with something in it."""
    text = value.get(name) if isinstance(value, dict) else None
    if not isinstance(text, str) or not text.strip():
        raise DataError(f"{where}: field {name!r} must be a text, found {text!r}")
    check_text(text, f"{where}: field {name!r}")
    return text


def _answers(question: Mapping[str, Any], where: str) -> list[Any]:
    """The question's answers; none where it says that it cannot be answered."""
    answers = question.get("answers")
    if question.get("is_impossible") is True:
        return []
    if not isinstance(answers, list):
        raise DataError(f"{where}: expected the list 'answers'")
    return answers


def _answer(answer: Any, context: str, where: str) -> dict[str, Any]:
    """{"text", "start"} of one reference, its start corrected where it is a little off."""
    text = _text(answer, "text", f"{where}: an answer")
    start = answer.get("answer_start")
    if not isinstance(start, int) or isinstance(start, bool) or start < ABSENT:
        raise DataError(f"{where}: answer_start must be a whole number (-1: not in the text), found {start!r}")
    if start == ABSENT or context.startswith(text, start):
        return {"text": text, "start": start}
    places = [i for i in range(max(0, start - DRIFT), start + DRIFT + 1) if context.startswith(text, i)]
    if not places:
        raise DataError(
            f"{where}: answer_start {start} and the {DRIFT} characters around it do not hold the answer {text[:40]!r}; "
            "correct it, or give -1 for an answer that is not in the text"
        )
    return {"text": text, "start": min(places, key=lambda i: abs(i - start))}
