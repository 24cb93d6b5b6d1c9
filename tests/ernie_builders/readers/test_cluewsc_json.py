"""CLUEWSC2020: the noun and the pronoun are marked in the text."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.config.tasks import ASSETS, load_tasks
from ernie_builders.errors import DataError
from ernie_builders.readers import Example, get_reader
from ernie_builders.readers.cluewsc_json import mark_spans
from ernie_builders.stages.data import read_file
from ernie_builders.stages.draft import draft_manifest
from ernie_runtime.text.tokenization import ErnieTokenizer

TEXT = "小王把书还给小李，他读完了。"
ROW: dict[str, Any] = {
    "target": {"span1_text": "小王", "span1_index": 0, "span2_text": "他", "span2_index": 9},
    "label": "true",
    "text": TEXT,
}
read = get_reader("cluewsc_json")


def write(tmp_path: Path, *rows: Any) -> Path:
    path = tmp_path / "train.json"
    lines = [row if isinstance(row, str) else json.dumps(row, ensure_ascii=False) for row in rows]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def row(text: Any = TEXT, label: Any = "true", **target: Any) -> dict[str, Any]:
    return {"text": text, "label": label, "target": {**ROW["target"], **target}}


@pytest.mark.parametrize(
    ("text", "noun", "pronoun", "marked"),
    [
        (TEXT, (0, 2), (9, 10), "_小王_把书还给小李，[他]读完了。"),
        ("他说小王来了", (2, 4), (0, 1), "[他]说_小王_来了"),
        ("小王他", (0, 2), (2, 3), "_小王_[他]"),
        ("他小王", (1, 3), (0, 1), "[他]_小王_"),
        ("ab她们", (0, 2), (2, 4), "_ab_[她们]"),
    ],
)
def test_spans_are_marked_in_any_order(text: str, noun: tuple[int, int], pronoun: tuple[int, int], marked: str) -> None:
    assert mark_spans(text, noun, pronoun) == marked


@pytest.mark.parametrize(
    ("noun", "pronoun", "message"),
    [
        ((0, 2), (1, 3), "the spans 0..2 and 1..3 overlap"),
        ((0, 4), (1, 2), "overlap"),
        ((3, 4), (3, 4), "overlap"),
        ((0, 2), (13, 15), "the span 13..15 is empty or outside the text of 14 characters"),
        ((-1, 2), (5, 6), "the span -1..2 is empty or outside"),
        ((2, 2), (5, 6), "the span 2..2 is empty"),
    ],
)
def test_spans_that_cannot_be_marked(noun: tuple[int, int], pronoun: tuple[int, int], message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("(", r"\(")):
        mark_spans(TEXT, noun, pronoun)


def test_reader(tmp_path: Path) -> None:
    before = {"span1_text": "小王", "span1_index": 2, "span2_text": "他", "span2_index": 0}
    path = write(tmp_path, ROW, "", {"text": "他说小王来了", "label": "false", "idx": 7, "target": before})
    assert list(read(path, {}, "train")) == [
        Example(("_小王_把书还给小李，[他]读完了。",), "true", 1),
        Example(("[他]说_小王_来了",), "false", 3),
    ]


def test_the_second_of_two_equal_words_is_marked(tmp_path: Path) -> None:
    path = write(tmp_path, row("小王和小王，他来了", span1_index=3, span2_index=6))
    assert [example.texts[0] for example in read(path, {}, "dev")] == ["小王和_小王_，[他]来了"]


def test_the_task_accepts_the_reader_s_examples(tmp_path: Path) -> None:
    """Marks are tokens of their own, and the examples of the task are marked as its data is."""
    task = load_tasks()["cluewsc2020"]
    tokenizer = ErnieTokenizer.from_vocab(ASSETS / "encoder" / "vocab.txt")
    manifest = draft_manifest(task, tokenizer)
    (example,) = read_file(write(tmp_path, ROW), "train", task.data, manifest)
    marks = {mark: tokenizer([mark])[0].ids for mark in "_[]"}
    assert all(len(ids) == 1 and ids[0] != tokenizer.unk_id for ids in marks.values())
    ids = tokenizer(list(example.texts))[0].ids.tolist()
    assert [ids.count(marks[mark][0]) for mark in "_[]"] == [2, 1, 1]
    for (text,) in task.examples:
        assert [text.count(mark) for mark in "_[]"] == [2, 1, 1]
    with pytest.raises(DataError, match=r"train\.json:1: label 'maybe' is none of false, true"):
        read_file(write(tmp_path, row(label="maybe")), "train", task.data, manifest)
