"""CMRC2018's exact match and F1 on cases worked out by hand."""

from __future__ import annotations

import pytest

from ernie_builders.metrics.cmrc import exact_match, f1, longest_common_run, normalized, segments


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("北京大学", ["北", "京", "大", "学"]),
        ("用Java编程", ["用", "java", "编", "程"]),
        ("光荣和ω-force。", ["光", "荣", "和", "ωforce"]),
        ("New York 2019年", ["new", "york", "2019", "年"]),
        ("1,000元", ["1,000", "元"]),
        ("A, B", ["a", ",", "b"]),
        ("3.5米", ["3.5", "米"]),
        ("at the end.", ["at", "the", "end", "."]),
        ("(the end.)", ["(", "the", "end", ".", ")"]),
        ("wait...now", ["wait", "...", "now"]),
        ("《书》（上）：A/B", ["书", "上", "ab"]),
        ("2019—2020", ["2019", "—", "2020"]),
        ("“对”‘错’", ["对", "‘", "错"]),
        ("100%，？", ["100", "%"]),
        ("，。！", []),
        (" ", []),
    ],
)
def test_segments(text: str, pieces: list[str]) -> None:
    assert segments(text) == pieces


def test_normalized() -> None:
    assert normalized(" 《ABC-12》，a b。 ") == "abc12a b"
    assert normalized("a.b,c(d)") == "a.b,c(d)"  # ASCII full stops, commas and brackets stay


@pytest.mark.parametrize(
    ("a", "b", "length"),
    [("", "", 0), ("abc", "", 0), ("abc", "xyz", 0), ("abcd", "zbcy", 2), ("abab", "babab", 4), ("xaxbxc", "abc", 1)],
)
def test_longest_common_run(a: str, b: str, length: int) -> None:
    assert longest_common_run(a, b) == longest_common_run(b, a) == length


@pytest.mark.parametrize(
    ("answer", "references", "value"),
    [
        ("北京大学", ["北京大学"], 1),
        ("北京大学", ["北京"], 2 * 2 / (4 + 2)),
        ("北京大学", ["上海", "北京", "北京大"], 2 * 3 / (4 + 3)),
        ("北大学", ["北京大学"], 2 * 2 / (3 + 4)),  # the run 大学, not the three characters both have
        ("北北北", ["北"], 2 * 1 / (3 + 1)),
        ("apple pie", ["an apple pie"], 2 * 2 / (2 + 3)),
        ("apples", ["apple"], 0),  # English counts by words
        ("2019年", ["2019年5月"], 2 * 2 / (2 + 4)),
        ("“北京”，大学。", ["北京大学"], 1),
        ("JAVA", ["java"], 1),
        ("天津", ["北京", "上海"], 0),
        ("。", ["北京"], 0),
        ("", ["北京"], 0),
        ("北京", ["。"], 0),
    ],
)
def test_f1(answer: str, references: list[str], value: float) -> None:
    assert f1(answer, references) == pytest.approx(value, abs=1e-12)


@pytest.mark.parametrize(
    ("answer", "references", "same"),
    [
        ("北京", ["北京"], True),
        ("《北京》。", ["上海", "北京"], True),
        ("Java", ["JAVA"], True),
        ("ω-force", ["ωforce"], True),
        (" 北京 ", ["北京"], True),
        ("北 京", ["北京"], False),
        ("1.5", ["15"], False),
        ("北京市", ["北京"], False),
        ("", ["北京"], False),
    ],
)
def test_exact_match(answer: str, references: list[str], same: bool) -> None:
    assert exact_match(answer, references) is same
