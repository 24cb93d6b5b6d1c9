"""A faulty row is reported in one line that names the file, the line and the fault."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ernie_builders.errors import DataError
from ernie_builders.readers import get_reader

COLUMNS = {"clue_json": {"text": "sentence", "label": "label"}}
WSC: dict[str, Any] = {
    "target": {"span1_text": "小王", "span1_index": 0, "span2_text": "他", "span2_index": 9},
    "label": "true",
    "text": "小王把书还给小李，他读完了。",
}
GOOD = {
    "clue_json": '{"sentence": "上课", "label": "108"}',
    "bio_columns": "我\tO",
    "nlpcc_slu": "7\t取消\tnavigation.cancel_navigation\t取消",
    "cluewsc_json": json.dumps(WSC),
    "hierarchy_tsv": "地震了\t灾害",
    "pair_scores": "a\tb\t5",
}


def spoken(tagged: str) -> str:
    """A line of nlpcc_slu."""
    return f"7\ttext\tmusic.play\t{tagged}"


def marked(text: Any = WSC["text"], label: Any = "true", **target: Any) -> str:
    """A line of cluewsc_json."""
    return json.dumps({"text": text, "label": label, "target": {**WSC["target"], **target}})


FAULTS: dict[str, list[tuple[str, str]]] = {
    "clue_json": [
        ('{"sentence": "上课"', "not a JSON object"),
        ("[" * 100_000, "not a JSON object (maximum recursion"),
        ("上课\t108", "not a JSON object (Expecting value"),
        ('["上课", "108"]', "expected a JSON object, found"),
        ('{"sentence": "a", "sentence": "b", "label": "1"}', "the key 'sentence' is there twice in one object"),
        ('{"sentence": "上课"}', "field 'label' is missing; found sentence"),
        ('{"label": "108"}', "field 'sentence' is missing; found label"),
        ("{}", "field 'sentence' is missing; found none"),
        ('{"sentence": 5, "label": "108"}', "field 'sentence' must be a string, found 5"),
        ('{"sentence": null, "label": "108"}', "field 'sentence' must be a string, found None"),
        ('{"sentence": "\\ud83d", "label": "108"}', "field 'sentence' holds half a surrogate pair"),
        (
            '{"sentence": "上课", "label": ["108", "109"]}',
            "field 'label' has 2 labels; data.fields.labels names such a column",
        ),
        ('{"sentence": "上课", "label": 1.5}', "field 'label' must be a string or a whole number"),
    ],
    "bio_columns": [
        ("北", "expected `token TAB tag`, found '北'"),
        ("\tO", "expected `token TAB tag`"),
        (" O", "expected `token TAB tag`"),
        ("北\tB-LOC\tx", "expected a tag O or one such as B-TYPE or I-TYPE (B I O E S M L U), found 'x'"),
        ("北\tLOC", "expected a tag O or one such as B-TYPE or I-TYPE (B I O E S M L U), found 'LOC'"),
        ("北\tB-", "found 'B-'"),
        ("北\to", "found 'o'"),
    ],
    "nlpcc_slu": [
        ("7\t取消\tOTHERS", "expected `session TAB text TAB intent TAB tagged text`, found '7"),
        ("7\t取消\tOTHERS\t取消\t", "expected `session TAB"),
        ("\t取消\tOTHERS\t取消", "expected `session TAB"),
        ("7\t\tOTHERS\t", "expected `session TAB"),
        ("取消", "expected `session TAB"),
        ("7\t取消吧\tOTHERS\t取消", "without its tags the tagged text is '取消', the text is '取消吧'"),
        (
            "7\t体面\tmusic.play\t<song>体验||体面</song>",
            "without its tags the tagged text is '体验', the text is '体面'",
        ),
        (spoken("播放<song>花心"), "tag <song> is not closed"),
        (spoken("播放<song>花心<song>"), "tag <song> inside <song>: slots cannot be nested"),
        (spoken("<song>花<singer>心</singer></song>"), "tag <singer> inside <song>: slots cannot be nested"),
        (spoken("播放花心</song>"), "tag </song> closes nothing: no tag is open"),
        (spoken("<song>花心</singer>"), "tag </singer> closes nothing: <song> is open"),
        (spoken("<song>花心</>"), "tag </> closes nothing: <song> is open"),
        (spoken("<song></song>"), "slot <song> holds ''; expected a text, or `said||meant`"),
        (spoken("<song>a||b||c</song>"), "slot <song> holds 'a||b||c'"),
        (spoken("<song>||b</song>"), "slot <song> holds '||b'"),
        (spoken("<song>a||</song>"), "slot <song> holds 'a||'"),
        (spoken("<>花心</>"), "a tag without a name, <>"),
        (spoken("1<2"), "a '<' that is no tag, at character 1 of '1<2'"),
        (spoken("<song>1>2</song>"), "a '>' that is no tag, at character 7 of"),
        (spoken("播放<song/>"), "a '<' that is no tag, at character 2"),
        (spoken("播放<song"), "a '<' that is no tag, at character 2"),
    ],
    "cluewsc_json": [
        ("{", "not a JSON object"),
        ("[1]", "expected a JSON object with text, target and label"),
        (json.dumps({"text": WSC["text"], "label": "true"}), "field 'target' must be an object, found None"),
        (marked(label=1), "field 'label' must be a string, found 1"),
        (marked(text=None), "field 'text' must be a string, found None"),
        (marked(span1_index="0"), "field target.span1_index must be a whole number, found '0'"),
        (marked(span2_index=True), "field target.span2_index must be a whole number, found True"),
        (marked(span2_text=""), "field target.span2_text must be a string that is not empty, found ''"),
        (marked(span1_index=99), "span1_text '小王' is not at 99, where '' is"),
        (marked(span2_index=-5), "span2_text '他' is not at -5"),
        (marked(span1_index=1), "span1_text '小王' is not at 1, where '王把' is"),
        (marked(span2_text="小", span2_index=0), "the spans 0..1 and 0..2 overlap"),
        (marked(text="\ud83d"), "half a surrogate pair"),
    ],
    "hierarchy_tsv": [
        ("地震了", "1 cell, with TAB between, the first row has 2: '地震了'"),
        ("地震\t了\t灾害", "3 cells, with TAB between, the first row has 2"),
        ("地震了\t灾害,,灾害##地震", "an empty label in ['灾害', '', '灾害##地震']"),
        ("地震了\t灾害,", "an empty label"),
    ],
    "pair_scores": [
        ("a\tb", "2 cells, with TAB between, the first row has 3"),
        ("a\tb\tc\t5", "4 cells, with TAB between, the first row has 3"),
        ("a\tb\t很像", "the score '很像' is not a number"),
        ("sentence1\tsentence2\tscore", "the score 'score' is not a number"),
    ],
}


@pytest.mark.parametrize(
    ("reader", "line", "expected"),
    [
        pytest.param(reader, *row, id=f"{reader}-{number}")
        for reader, rows in FAULTS.items()
        for number, row in enumerate(rows)
    ],
)
def test_a_faulty_line(tmp_path: Path, reader: str, line: str, expected: str) -> None:
    path = tmp_path / "train"
    path.write_text(f"{GOOD[reader]}\n\n{line}\n{GOOD[reader]}\n", encoding="utf-8")
    with pytest.raises(DataError) as raised:
        list(get_reader(reader)(path, COLUMNS.get(reader, {}), "train"))
    message = str(raised.value)
    assert message.startswith(f"{path}:3: ") and expected in message and "\n" not in message


@pytest.mark.parametrize("reader", GOOD)
def test_files_that_cannot_be_read(tmp_path: Path, reader: str) -> None:
    path = tmp_path / "train"
    path.write_bytes(f"{GOOD[reader]}\n".encode() + b"\xff\xfe")
    read, columns = get_reader(reader), COLUMNS.get(reader, {})
    with pytest.raises(DataError, match="train:2: byte 0 of the line"):
        list(read(path, columns, "train"))
    with pytest.raises(DataError, match="none: no such file"):
        list(read(tmp_path / "none", columns, "train"))
