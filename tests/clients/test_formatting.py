"""What the command line prints."""

from __future__ import annotations

import io
from dataclasses import replace

from ernie_triton import ClassificationResult, EntitiesResult, Entity, Label, RawResult, Task
from ernie_triton.formatting import inline, pad, result_lines, table, visible, width
from ernie_triton.predict_cli import as_parts, predict_parser, read_lines

TASK = Task("t", "sequence_classification", "T", ("news_tech", "news_finance"), ("TEXT",), "fp32", ("fp32",), 1)
TOP = tuple(Label(name, score) for name, score in (("news_tech", 0.93), ("b", 0.04), ("c", 0.02), ("d", 0.01)))
CLASS = ClassificationResult("news_tech", 0.93, TOP, 1200, 10, False)
TEXT = "王小明在北京大学读书"
NAMES = (Entity("PER", "王小明", 0, 3, 0.998), Entity("ORG", "北京大学", 4, 8, 0.9))


def test_columns_on_a_terminal() -> None:
    assert [width(text) for text in ("abc", "中文", "ＡＢ", "e\u0301", "")] == [3, 4, 4, 1, 0]
    assert pad("中", 4) + "|" == "中  |"
    assert table([("中文", "1"), ("a", "22")]) == ["中文  1", "a     22"]


def test_a_text_cannot_control_the_terminal() -> None:
    assert visible("a\nb\t\x1b[31m\u2028全\u3000角👨‍👩‍👧") == "a\\nb\\t\\x1b[31m\\u2028全\u3000角👨‍👩‍👧"


def test_classification() -> None:
    assert result_lines("股市\n大涨", CLASS, TASK) == ["news_tech     0.93  股市\\n大涨"]
    assert result_lines("股市", CLASS, TASK, verbose=True)[1:] == [
        "    news_tech 0.93  b 0.04  c 0.02",
        "    1,200 tokens in 10 windows",
    ]


def test_a_text_that_was_cut_off_says_so() -> None:
    result = replace(CLASS, truncated=True, tokens=300, windows=1)
    assert result_lines("股市", result, TASK)[1:] == ["    300 tokens in 1 window, its end was not read"]


def test_entities() -> None:
    assert result_lines(TEXT, EntitiesResult(NAMES, 10, 1, False), TASK) == [
        "[王小明 PER]在[北京大学 ORG]读书",
        "    start  end  label  text      score",
        "    0      3    PER    王小明    1.00",
        "    4      8    ORG    北京大学  0.90",
    ]
    assert result_lines(TEXT, EntitiesResult((), 10, 1, False), TASK) == [TEXT]


def test_entities_that_touch_or_overlap() -> None:
    touching = [Entity("PER", "王", 0, 1, 1.0), Entity("PER", "小", 1, 2, 1.0)]
    assert inline("王小", touching) == "[王 PER][小 PER]"
    assert inline("王小明", [Entity("LOC", "小明", 1, 3, 1.0), Entity("PER", "王小", 0, 2, 1.0)]) == "[王小 PER]明"
    assert inline("", []) == ""


def test_a_kind_without_a_form_is_json() -> None:
    assert result_lines("a", RawResult({"masks": ["好"]}), TASK) == ['{"masks": ["好"]}']


def test_lines_of_standard_input() -> None:
    stream = io.BytesIO("\ufeff一\r\n\n二 \u2028\ufeff\n".encode() + b"\xff\nlast")
    assert list(read_lines(stream, 2)) == [["一", ""], ["二 \u2028\ufeff", "\udcff"], ["last"]]
    assert list(read_lines(io.BytesIO(b""), 2)) == []


def test_parts_of_an_item_are_cut_at_tabs() -> None:
    pair = replace(TASK, inputs=("TEXT", "TEXT_PAIR"))
    assert as_parts(["a\tb", "c"], pair) == [("a", "b"), ("c",)]
    assert as_parts(["a\tb"], TASK) == ["a\tb"]


def test_options_may_stand_between_the_texts() -> None:
    given = predict_parser().parse_intermixed_args(["tnews", "--json", "a", "--url", "h:1", "b"])
    assert (given.task, given.texts, given.json, given.url) == ("tnews", ["a", "b"], True, "h:1")
    assert predict_parser().parse_intermixed_args(["tnews", "--json", "-"]).texts == ["-"]
    assert predict_parser().parse_intermixed_args(["tnews", "--", "-5度"]).texts == ["-5度"]
