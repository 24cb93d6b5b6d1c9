"""The Chinese pages say what the English ones say: the same headings, code, tables, figures and options."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from .test_pages import ROOT

PAGES = [
    "README.md",
    "SECURITY.md",
    "docker/README.md",
    *(
        f"docs/{name}.md"
        for name in (
            "quickstart",
            "answers",
            "tasks",
            "bulk",
            "commands",
            "data",
            "building",
            "compression",
            "distillation",
            "peers",
            "perf",
            "scale",
            "figures",
            "assets",
            "pretraining",
            "serving",
            "operating",
            "reliability",
            "kubernetes",
            "contract",
            "gateway",
            "clients",
        )
    ),
]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:^ {4}\S[^\n]*\n?|^ {4,}[^\n]+\n?)+", re.MULTILINE)
COMMENT = re.compile(r"(?:^|\s+)(?:#|//) .*$", re.MULTILINE)
OPTION = re.compile(r"(?<![\w-])--[a-z][\w-]+|\bERNIE_\w+")


def twin(page: str) -> Path:
    return ROOT / page.replace(".md", ".zh.md")


def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def code(text: str) -> list[str]:
    """The code blocks without their comments, which are translated."""
    fenced = FENCE.findall(text)
    indented = INDENTED.findall(FENCE.sub("", text))
    return [COMMENT.sub("", block).strip() for block in [*fenced, *indented]]


def headings(text: str) -> list[int]:
    return [len(marks) for marks in re.findall(r"^(#+) ", FENCE.sub("", text), re.MULTILINE)]


def rows(text: str) -> list[int]:
    """The number of cells in each row of the tables."""
    return [len(re.findall(r"(?<!\\)\|", line)) for line in FENCE.sub("", text).splitlines() if line.startswith("|")]


@pytest.mark.parametrize("page", PAGES)
def test_the_chinese_page_has_the_same_code(page: str) -> None:
    for english, chinese in zip(code(text_of(ROOT / page)), code(text_of(twin(page))), strict=True):
        assert chinese == english, f"{twin(page).name}: change it together with {page}"


@pytest.mark.parametrize("page", PAGES)
def test_the_chinese_page_has_the_same_parts(page: str) -> None:
    english, chinese = text_of(ROOT / page), text_of(twin(page))
    assert headings(chinese) == headings(english)
    assert rows(chinese) == rows(english)
    assert set(OPTION.findall(chinese)) == set(OPTION.findall(english))


@pytest.mark.parametrize("page", PAGES)
def test_the_two_link_to_each_other(page: str) -> None:
    name = Path(page).name
    assert f"\n[中文]({twin(page).name})\n" in text_of(ROOT / page)
    assert f"\n[English]({name})\n" in text_of(twin(page))


@pytest.mark.parametrize("page", PAGES)
def test_the_chinese_page_links_to_chinese_pages(page: str) -> None:
    translated = {twin(other).resolve() for other in PAGES}
    for link in re.findall(
        r"\]\(([^)\s:#]+\.md)[)#]", text_of(twin(page)).replace(f"[English]({Path(page).name})", "")
    ):
        target = (twin(page).parent / link).resolve()
        assert target.with_name(target.name.replace(".md", ".zh.md")) not in translated, f"{twin(page).name}: {link}"


@pytest.mark.parametrize("page", PAGES)
def test_lines_break_at_punctuation(page: str) -> None:
    """GitHub shows a line break as a blank, which is seen between two Chinese characters."""
    prose = FENCE.sub("", text_of(twin(page)))
    assert re.findall(r"[\u4e00-\u9fff]\n {0,2}[\u4e00-\u9fff][^\n]*", prose) == []
