"""A small document, as HTML and as Markdown."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

from ernie_perf.report.page import Figure, Heading, Page, Table, Text

SVG = '<svg xmlns="http://www.w3.org/2000/svg"><title>a &amp; b</title></svg>'
NASTY = """<script>alert("1")</script> & 'x' | 你好"""


class Reader(HTMLParser):
    """The text of every cell, heading and paragraph, and the tags that were opened."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: dict[str, list[str]] = {}
        self.feed(page)
        self.texts = {tag: [text.rstrip("\n") for text in texts] for tag, texts in self.texts.items()}

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.texts.setdefault(tag, []).append("")

    def handle_data(self, data: str) -> None:
        if self.tags:
            self.texts[self.tags[-1]][-1] += data


def page() -> Page:
    document = Page(f"Title {NASTY}")
    document.add(Heading(2, NASTY), Text(NASTY), None, Table([["a", "b|c", NASTY], ["1", "2", "3"]]))
    document.add(Figure(name="speed", svg=SVG, caption=f"Speed {NASTY}"))
    return document


def test_html_shows_every_text_as_it_is() -> None:
    """Titles and messages come from users and servers: none of them becomes markup."""
    reader = Reader(page().html())
    assert "script" not in reader.tags
    assert reader.texts["h1"] == reader.texts["title"][:1] == [f"Title {NASTY}"]
    assert reader.texts["h2"] == [NASTY] and reader.texts["p"] == [NASTY]
    assert reader.texts["th"] == ["a", "b|c", NASTY] and reader.texts["td"] == ["1", "2", "3"]
    assert reader.texts["figcaption"] == [f"Speed {NASTY}"]


def test_pictures_stand_in_the_page() -> None:
    """One file is enough."""
    html = page().html()
    assert SVG in html and html.startswith("<!doctype html>") and '<meta charset="utf-8">' in html


def test_a_table_in_markdown_keeps_its_columns() -> None:
    """Whatever is in a cell: a pipe, a tag, a line break."""
    document = Page("T")
    document.add(Table([["name", "why"], ["a|b", "first\nsecond <b>bold</b>"], ["c", ""]]))
    lines = document.markdown().splitlines()
    assert lines[2:] == ["| name | why |", "|---|---:|", r"| a\|b | first second &lt;b>bold&lt;/b> |", "| c |  |"]


def test_headings_in_markdown_keep_their_text() -> None:
    """A title in angle brackets is no tag that a browser drops."""
    document = Page("Speed")
    document.add(
        Heading(2, "tnews: News <titles>"),
        Heading(3, "Every load"),
        Text("a < b"),
        Figure(name="f", svg=SVG, caption="p<q"),
    )
    assert document.markdown() == (
        "# Speed\n\n## tnews: News &lt;titles>\n\n### Every load\n\na &lt; b\n\n![p&lt;q](f.svg)\n"
    )


def test_files(tmp_path: Path) -> None:
    """Both documents and each picture, in a folder that need not be there."""
    folder = tmp_path / "new" / "folder"
    written = page().write(folder)
    assert sorted(path.name for path in written) == ["report.html", "report.md", "speed.svg"]
    assert sorted(folder.iterdir()) == sorted(written)
    assert (folder / "speed.svg").read_text(encoding="utf-8") == SVG
    assert (folder / "report.md").read_text(encoding="utf-8") == page().markdown()
