"""SQuAD's JSON: what is read, what is corrected, and every fault with its file, line and question."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.errors import DataError
from ernie_builders.readers import Example
from ernie_builders.readers.squad_json import MAX_DRIFT, read

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


@pytest.mark.parametrize("start", [10 - MAX_DRIFT, 9, 10, 11, 10 + MAX_DRIFT])
def test_an_answer_a_few_characters_off_is_moved_to_its_text(tmp_path: Path, start: int) -> None:
    (example,) = read(write(tmp_path, squad([question(("北京", start))])), {})
    assert example.target["answers"] == [{"text": "北京", "start": 10}]


def test_of_two_occurrences_the_nearer_is_taken(tmp_path: Path) -> None:
    for start, place in ((0, 0), (1, 0), (4, 5), (6, 5)):
        (example,) = read(write(tmp_path, squad([question(("甲", start))], "甲乙丙丁戊甲")), {})
        assert example.target["answers"][0]["start"] == place


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
        ("", "not JSON"),
        ('{"data": [', "not JSON"),
        ("[" * 100_000, "not JSON"),
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
        (squad([question(("北京", None))]), "question q1: answer_start must be a whole number"),
        (squad([question(("北京", "10"))]), "question q1: answer_start must be a whole number"),
        (squad([question(("北京", True))]), "question q1: answer_start must be a whole number"),
        (
            squad([question(("北京", -2))]),
            "question q1: answer_start must be a whole number (-1: not in the text), found -2",
        ),
        (squad([question(("上海", 10))]), "question q1: answer_start 10 and the 8 characters around it do not hold"),
        (squad([question(("北京", 0))]), "do not hold the answer '北京'; correct it, or give -1"),
        (squad([question(("他", 999))]), "question q1: answer_start 999 and the 8 characters around it"),
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
