"""Reading comprehension: SQuAD's JSON (CMRC2018, DRCD, DuReader robust), rows of questions, DuReader's documents."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path

from ernie_runtime.json_types import JsonObject

from ..errors import DataError
from . import Example, check_fields
from .files.questions import NOT_IN_TEXT, Answer, Question, questions
from .files.report import Report
from .files.spans import BYTES, CHARACTERS, UTF16, char_positions

positions = lru_cache(maxsize=1)(char_positions)  # the questions about a text follow each other
LOCATED = "answers without a position, put where their words occur, once"
NOT_LOCATED = "answers without a position whose words occur several times or not at all: for scoring only"
MOVED = "answers moved from their answer_start to where their words occur, once"
AMBIGUOUS = "answers that are not at their answer_start and occur several times: for scoring only"


def read(path: Path, columns: Mapping[str, str], split: str = "", report: Report | None = None) -> Iterator[Example]:
    """Texts: question and context; target: {"id", "answers": [{"text", "start"}]}.

    `start` is in characters of the context; -1 for a reference that is used for scoring only: one whose position is
    wrong or not given (no answer_start, or -1), unless its words occur once in the context. A question without answers,
    or with `is_impossible`, is one that the context does not answer (SQuAD 2.0). Forms: see `files.questions`.
    """
    del split
    check_fields(columns)
    report = report or Report()
    items = list(questions(path, report))
    unit = _unit(items)
    if unit != CHARACTERS:
        report.add(f"offsets are {unit}, converted to characters")
    for item in items:
        answers = [_located(path, item, answer, unit, report) for answer in item.answers]
        yield Example((item.question, item.context), {"id": item.id, "answers": answers}, item.line)


def _unit(items: Sequence[Question]) -> str:
    """What the offsets of a file count: the first unit in which all answers are in their place, else characters."""
    units = (CHARACTERS, UTF16, BYTES)
    return next((unit for unit in units if all(_is_at(i, a, unit) for i in items for a in i.answers)), CHARACTERS)


def _is_at(item: Question, answer: Answer, unit: str) -> bool:
    """Whether an answer is where its file says, or its file does not say where it is."""
    start = _start(item, answer, unit)
    return answer.start == NOT_IN_TEXT or (start >= 0 and item.context.startswith(answer.text, start))


def _start(item: Question, answer: Answer, unit: str) -> int:
    """In characters; -1 where the file's start is not given or inside a character."""
    return answer.start if unit == CHARACTERS else positions(item.context, unit).get(answer.start, NOT_IN_TEXT)


def _located(path: Path, item: Question, answer: Answer, unit: str, report: Report) -> JsonObject:
    """{"text", "start"} of one reference; its words are never guessed to be at one of several places."""
    if answer.start != NOT_IN_TEXT and _is_at(item, answer, unit):
        return {"text": answer.text, "start": _start(item, answer, unit)}
    times = item.context.count(answer.text)
    if answer.start == NOT_IN_TEXT:
        report.add(LOCATED if times == 1 else NOT_LOCATED, item.line)
    elif not times:
        raise DataError(
            f"{path}:{item.line}: question {item.id}: answer_start is {answer.start}, and the text does not hold the "
            f"answer {answer.text[:40]!r}; correct it, or give -1 for an answer that is not in the text"
        )
    else:
        report.add(MOVED if times == 1 else AMBIGUOUS, item.line)
    return {"text": answer.text, "start": item.context.index(answer.text) if times == 1 else NOT_IN_TEXT}
