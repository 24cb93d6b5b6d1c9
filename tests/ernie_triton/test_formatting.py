"""What the command line prints."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from ernie_triton import RawResult, Task
from ernie_triton.batch.arguments import predict_parser
from ernie_triton.columns import clip, pad, table, visible, width
from ernie_triton.formatting import inline, numeric_lines, result_lines
from ernie_triton.results import parse_result

TASK = Task(
    name="t",
    kind="sequence_classification",
    title="T",
    labels=("news_tech", "news_finance"),
    inputs=("TEXT",),
    variant="fp32",
    variants=("fp32",),
    version=1,
)
TOP = [{"label": name, "score": score} for name, score in (("news_tech", 0.93), ("b", 0.04), ("c", 0.02), ("d", 0.01))]
SIZE = {"tokens": 1200, "windows": 10, "truncated": False}
CLASS = {"label": "news_tech", "score": 0.93, "top": TOP, **SIZE}
TEXT = "王小明在北京大学读书"
NAMES = [
    {"label": "PER", "text": "王小明", "start": 0, "end": 3, "score": 0.998},
    {"label": "ORG", "text": "北京大学", "start": 4, "end": 8, "score": 0.9},
]


def span(label: str, start: int, end: int) -> dict[str, Any]:
    return {"label": label, "start": start, "end": end}


def test_columns_on_a_terminal() -> None:
    assert [width(text) for text in ("abc", "中文", "ＡＢ", "e\u0301", "")] == [3, 4, 4, 1, 0]
    assert pad("中", 4) + "|" == "中  |"
    assert table([("中文", "1"), ("a", "22")]) == ["中文  1", "a     22"]
    assert [clip("中文abc", columns) for columns in (7, 6, 5, 4, 3)] == ["中文abc", "中文a…", "中文…", "中…", "中…"]


def test_a_text_cannot_control_the_terminal() -> None:
    assert visible("a\nb\t\x1b[31m\u2028全\u3000角👨‍👩‍👧") == "a\\nb\\t\\x1b[31m\\u2028全\u3000角👨‍👩‍👧"


def test_classification() -> None:
    assert result_lines("股市\n大涨", RawResult(CLASS), TASK) == ["news_tech     0.93  股市\\n大涨"]
    assert result_lines("股市", RawResult(CLASS), TASK, verbose=True)[1:] == [
        "    news_tech 0.93  b 0.04  c 0.02",
        "    1,200 tokens in 10 windows",
    ]


def test_a_typed_result_looks_like_its_raw_one() -> None:
    typed = parse_result("sequence_classification", CLASS)
    assert result_lines("股市", typed, TASK, True) == result_lines("股市", RawResult(CLASS), TASK, True)


def test_a_text_that_was_cut_off_says_so() -> None:
    result = RawResult({**CLASS, "truncated": True, "tokens": 300, "windows": 1})
    assert result_lines("股市", result, TASK)[1:] == ["    300 tokens in 1 window, its end was not read"]


def test_entities() -> None:
    assert result_lines(TEXT, RawResult({"entities": NAMES, **SIZE}), TASK) == [
        "[王小明 PER]在[北京大学 ORG]读书",
        "    start  end  label  text      score",
        "    0      3    PER    王小明    1.00",
        "    4      8    ORG    北京大学  0.90",
    ]
    assert result_lines(TEXT, RawResult({"entities": [], **SIZE}), TASK) == [TEXT]


def test_entities_that_touch_or_overlap() -> None:
    assert inline("王小", [span("PER", 0, 1), span("PER", 1, 2)]) == "[王 PER][小 PER]"
    assert inline("王小明", [span("LOC", 1, 3), span("PER", 0, 2)]) == "[王小 PER]明"
    assert inline("", []) == ""


SLOTS = [
    {"slot": "singer", "text": "周董", "value": "周杰伦", "start": 2, "end": 4, "score": 0.9},
    {"slot": "song", "text": "晴天", "value": "晴天", "start": 5, "end": 7, "score": 0.8},
]
ANSWERS = [
    {"text": "北京", "start": 4, "end": 6, "score": 0.71},
    {"text": "北京市", "start": 4, "end": 7, "score": 0.1},
]
TREE = [
    {"label": "人生", "level": 1, "score": 0.97},
    {"label": "人生##结婚", "level": 2, "score": 0.95},
    {"label": "交往", "level": 1, "score": 0.6},
]
MASKS = [
    [{"token": "天", "score": 0.8}, {"token": "空", "score": 0.1}],
    [{"token": "好", "score": 0.5}],
]
RANKED = [{"index": 1, "text": "怎么还款", "score": 0.9}, {"index": 0, "text": "天气", "score": 0.01}]


@pytest.mark.parametrize(
    ("item", "raw", "line"),
    [
        (("a", "b"), CLASS, "news_tech     0.93  a  |  b"),
        (
            "放首周董的晴天",
            {"intent": "play", "score": 0.99, "slots": SLOTS},
            "play          0.99  放首[周董=周杰伦 singer]的[晴天 song]",
        ),
        (("首都是?", "中国首都北京市"), {"answers": ANSWERS}, "北京  0.71  4-6  首都是?  |  中国首都北京市"),
        (("q", "c"), {"answers": [], "no_answer_score": 0.9}, "no answer  0.90  q  |  c"),
        (
            "x",
            {"labels": TREE, "paths": [["人生", "结婚"], ["交往"]]},
            "人生 > 结婚 0.95; 交往 0.60  x",
        ),
        ("x", {"labels": [], "paths": []}, "no label  x"),
        (("a", "b"), {"score": 0.83214}, "0.8321  a  |  b"),
        ("今[MASK]", {"masks": MASKS}, "天 0.80  空 0.10 | 好 0.50  今[MASK]"),
        (("怎样还", "[]"), {"ranking": RANKED}, "1. 怎么还款 0.90  2. 天气 0.01  (怎样还)"),
    ],
)
def test_each_known_shape_is_one_line(item: str | tuple[str, ...], raw: dict[str, Any], line: str) -> None:
    assert result_lines(item, RawResult(raw), TASK) == [line]


def test_other_answers_when_asked_for_more() -> None:
    raw = {"answers": ANSWERS, "no_answer_score": 0.05}
    assert result_lines(("q", "c"), RawResult(raw), TASK, True)[1:] == ["    北京市 0.10  (no answer 0.05)"]


def test_long_parts_are_cut_short_and_a_single_text_is_not() -> None:
    (line,) = result_lines(("问" * 5, "文" * 500), RawResult({"score": 1.0}), TASK)
    assert line.endswith("文…") and width(line) < 80
    assert "字" * 500 in result_lines("字" * 500, RawResult({"score": 1.0}), TASK)[0]


@pytest.mark.parametrize(
    "raw", [{"poem": ["好\x9b"]}, {"masks": ["好"]}, {"score": None}, {"entities": [{"name": "a"}]}, {}]
)
def test_an_unknown_shape_is_json(raw: dict[str, Any]) -> None:
    (line,) = result_lines("a", RawResult(raw), TASK)
    assert line.startswith("{") and "\x9b" not in line and ("masks" not in raw or line == '{"masks": ["好"]}')


def test_numbers_are_shown_in_short() -> None:
    numbers = {"LABEL_ID": np.array([3]), "EMBEDDING": np.array([0.5, -1.25, 0, 1, 2], np.float32)}
    assert numeric_lines(numbers) == ["    LABEL_ID  3", "    EMBEDDING  [0.5, -1.25, 0, 1, ...] 5 numbers"]


def test_options_may_stand_between_the_texts() -> None:
    parsed = predict_parser().parse_intermixed_args(["tnews", "--json", "a", "--url", "h:1", "b"])
    assert (parsed.task, parsed.texts, parsed.json, parsed.url) == ("tnews", ["a", "b"], True, "h:1")
    assert predict_parser().parse_intermixed_args(["tnews", "--json", "-"]).texts == ["-"]
    assert predict_parser().parse_intermixed_args(["tnews", "--", "-5度"]).texts == ["-5度"]
