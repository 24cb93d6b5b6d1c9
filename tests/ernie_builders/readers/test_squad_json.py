"""SQuAD's JSON: what is read, what is corrected, and every fault with its file, line and question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.errors import DataError
from ernie_builders.readers import Example
from ernie_builders.readers.files.report import Report
from ernie_builders.readers.squad_json import read

CONTEXT = "他生于1998年，在北京长大。"


def squad(questions: Any, context: Any = CONTEXT) -> dict[str, Any]:
    return {"version": "1", "data": [{"title": "t", "paragraphs": [{"context": context, "qas": questions}]}]}


def question(*answers: tuple[Any, Any], id: Any = "q1", text: Any = "他在哪里长大？") -> dict[str, Any]:
    return {"id": id, "question": text, "answers": [{"text": t, "answer_start": s} for t, s in answers]}


def write(folder: Path, content: Any) -> Path:
    path = folder / "train.json"
    text = content if isinstance(content, str) else json.dumps(content, ensure_ascii=False, indent=1)
    path.write_text(text, encoding="utf-8")
    return path


def test_squad_json(tmp_path: Path) -> None:
    path = write(
        tmp_path, squad([question(("北京", 10)), question(("1998年", 3), ("1998", 3), id="q2", text="何年？")])
    )
    first, second = read(path, {})
    assert first == Example(
        ("他在哪里长大？", CONTEXT), {"id": "q1", "answers": [{"text": "北京", "start": 10}]}, first.line
    )
    assert second.texts == ("何年？", CONTEXT) and [a["text"] for a in second.target["answers"]] == ["1998年", "1998"]
    lines = path.read_text(encoding="utf-8").split("\n")
    assert '"q1"' in lines[first.line - 1] and '"q2"' in lines[second.line - 1]
    (tmp_path / "train.json").write_text("\ufeff" + json.dumps(squad([question(("北京", 10))])), encoding="utf-8")
    assert [e.line for e in read(path, {})] == [1]


def read_one(path: Path) -> tuple[list[Any], list[str]]:
    """The answers of the only question, and the report."""
    report = Report()
    (example,) = read(path, {}, "", report)
    return example.target["answers"], list(report)


@pytest.mark.parametrize("start", [0, 9, 10, 11, 99])
def test_an_answer_that_is_elsewhere_is_moved_where_it_occurs_once(tmp_path: Path, start: int) -> None:
    answers, report = read_one(write(tmp_path, squad([question(("北京", start))])))
    assert answers == [{"text": "北京", "start": 10}]
    moved = "1 answers moved from their answer_start to where their words occur, once (line 11)"
    assert report == ([] if start == 10 else [moved])


def test_of_two_occurrences_none_is_guessed(tmp_path: Path) -> None:
    for start, place in ((0, 0), (1, -1), (4, -1), (5, 5), (-1, -1)):
        answers, report = read_one(write(tmp_path, squad([question(("甲", start))], "甲乙丙丁戊甲")))
        assert answers == [{"text": "甲", "start": place}] and len(report) == (place < 0)


def test_an_answer_without_a_position_is_put_where_it_occurs_once(tmp_path: Path) -> None:
    for qas in (question(("北京", -1)), question(("北京", None)), {**question(), "answers": [{"text": "北京"}]}):
        answers, report = read_one(write(tmp_path, squad([qas])))
        assert answers == [{"text": "北京", "start": 10}]
        assert report == ["1 answers without a position, put where their words occur, once (line 11)"]


@pytest.mark.parametrize(("unit", "start"), [("UTF-16 units", 10), ("bytes of UTF-8", 26)])
def test_other_units_are_recognised_by_the_whole_file(tmp_path: Path, unit: str, start: int) -> None:
    """The second answer occurs twice: only the unit tells which one is meant."""
    context = "😀𠮷在北京，又在北京"
    path = write(tmp_path, squad([question(("北京", start))], context))
    answers, report = read_one(path)
    assert answers == [{"text": "北京", "start": 8}] and report == [f"offsets are {unit}, converted to characters"]


ROWS: list[Any] = [
    {"id": "q1", "question": "在哪里？", "context": CONTEXT, "answers": {"text": ["北京"], "answer_start": [10]}},
    {"id": "q1", "question": "在哪里？", "context": CONTEXT, "answers": ["北京"], "answer_starts": [10]},
    {"id": "q1", "question": "在哪里？", "context": CONTEXT, "answers": ["北京"]},
    {"query_id": "q1", "query_text": "在哪里？", "context_text": CONTEXT, "answers": ["北京"]},
    {"question_id": "q1", "question": "在哪里？", "answers": ["北京"], "documents": [
        {"title": "t", "paragraphs": ["不相干", CONTEXT], "is_selected": True, "most_related_para": 1},
        {"title": "t", "paragraphs": ["别的"], "is_selected": False}]},
]  # fmt: skip


@pytest.mark.parametrize("row", ROWS)
def test_rows_of_questions(tmp_path: Path, row: Any) -> None:
    """Hugging Face's, PaddleNLP's, without starts, CMRC2018's names, DuReader's documents."""
    for text in (json.dumps([row]), f"{json.dumps(row)}\n"):
        (example,) = read(write(tmp_path, text), {})
        assert example.texts == ("在哪里？", CONTEXT)
        assert example.target == {"id": "q1", "answers": [{"text": "北京", "start": 10}]}


def test_the_first_release_of_cmrc2018(tmp_path: Path) -> None:
    qas = [{"query_id": "q1", "query_text": "在哪里？", "answers": ["北京", "北京"]}]
    (example,) = read(write(tmp_path, [{"context_id": "c", "context_text": CONTEXT, "qas": qas, "title": "t"}]), {})
    assert example.texts == ("在哪里？", CONTEXT) and example.target["answers"][1] == {"text": "北京", "start": 10}


def test_references_outside_the_text_and_questions_without_answers(tmp_path: Path) -> None:
    impossible = {**question(("北京", 10), id="q3"), "is_impossible": True}
    off_text, without_answer, impossible_question = read(
        write(tmp_path, squad([question(("1998.0", -1)), question(id="q2"), impossible])), {}
    )
    assert off_text.target["answers"] == [{"text": "1998.0", "start": -1}]
    assert without_answer.target["answers"] == impossible_question.target["answers"] == []


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("", "not JSON (the file is empty)"),
        ('{"data": [', "not a JSON object"),
        ("[" * 100_000, "not a JSON object"),
        ([1], "expected a JSON object with the list 'data'"),
        ({"version": "1"}, "expected a JSON object with the list 'data'"),
        ({"data": {}}, "expected a JSON object with the list 'data'"),
        ({"data": [{"title": "t"}]}, "expected a JSON object with the list 'paragraphs'"),
        ({"data": ["t"]}, "expected a JSON object with the list 'paragraphs'"),
        ({"data": [{"paragraphs": [{"qas": []}]}]}, "a paragraph: field 'context' must be a text, found None"),
        (squad([question(("北京", 10))], " "), "a paragraph: field 'context' must be a text, found ' '"),
        (squad([question(("北京", 10))], "北\\ud83d".encode().decode("unicode_escape")), "half a surrogate pair"),
        ({"data": [{"paragraphs": [{"context": "c"}]}]}, "expected a JSON object with the list 'qas'"),
        (squad(["q"]), "a question after this line has no `id`"),
        (squad([question(("北京", 10), id=None)]), "a question after this line has no `id`"),
        (squad([question(("北京", 10), text="")]), "question q1: field 'question' must be a text, found ''"),
        (squad([question(("北京", 10), text=3)]), "question q1: field 'question' must be a text, found 3"),
        (squad([{"id": "q1", "question": "何"}]), "question q1: expected the list 'answers'"),
        (squad([question((None, 10))]), "question q1: an answer: field 'text' must be a text, found None"),
        (squad([question(("", 10))]), "question q1: an answer: field 'text' must be a text, found ''"),
        (squad([question(("北京", "10"))]), "question q1: answer_start must be a whole number"),
        (squad([question(("北京", True))]), "question q1: answer_start must be a whole number"),
        (
            squad([question(("北京", -2))]),
            "question q1: answer_start must be a whole number (-1: not in the text), found -2",
        ),
        (
            squad([question(("上海", 10))]),
            "question q1: answer_start is 10, and the text does not hold the answer '上海'",
        ),
        (
            {"question": "何", "context": "c", "answers": {"text": ["c"], "answer_start": []}},
            "1 answers, and not as many",
        ),
        ({"question": "何", "documents": [{"paragraphs": []}], "answers": []}, "its documents have no paragraphs"),
    ],
)
def test_faults_are_one_clear_line(tmp_path: Path, content: Any, expected: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    with pytest.raises(DataError) as caught:
        list(read(path, {}))
    message = str(caught.value)
    assert message.startswith(str(path)) and expected in message and "\n" not in message and len(message) < 400


def test_a_fault_names_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, squad([question(("北京", 10)), question(("上海", 10), id="q2")]))
    number = 1 + next(i for i, line in enumerate(path.read_text(encoding="utf-8").split("\n")) if '"q2"' in line)
    with pytest.raises(DataError, match=f"train.json:{number}: question q2: "):
        list(read(path, {}))
