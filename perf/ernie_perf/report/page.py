"""A small document: headings, paragraphs, tables and pictures, written as one HTML page and as Markdown."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 62em; margin: 2em auto; padding: 0 1em; }
h1 { font-size: 1.6em; } h2 { margin-top: 2em; border-bottom: 1px solid #ddd; } h3 { margin-top: 1.6em; }
table { border-collapse: collapse; margin: 1em 0; font-size: 0.9em; display: block; overflow-x: auto; }
th, td { padding: 0.25em 0.7em; border-bottom: 1px solid #e4e4e4; text-align: right; white-space: nowrap; }
th:first-child, td:first-child { text-align: left; } th { border-bottom: 2px solid #999; }
svg { max-width: 100%; height: auto; } figure { margin: 1em 0; } figcaption, .note { color: #666; font-size: 0.9em; }
"""


@dataclass(frozen=True)
class Heading:
    """A section's or (level 3) subsection's."""

    level: int
    text: str


@dataclass(frozen=True)
class Text:
    """A paragraph."""

    text: str


@dataclass(frozen=True)
class Table:
    """Cells as text."""

    rows: Sequence[Sequence[str]]  # the first is the header


@dataclass(frozen=True, kw_only=True)
class Figure:
    """A picture."""

    name: str  # of its file beside the Markdown, without .svg
    svg: str
    caption: str


Block = Heading | Text | Table | Figure


@dataclass
class Page:
    """Blocks in order."""

    title: str
    blocks: list[Block] = field(default_factory=list)

    def add(self, *blocks: Block | None) -> None:
        """Append; None stands for nothing to show."""
        self.blocks += [block for block in blocks if block is not None]

    def html(self) -> str:
        """One page that needs nothing else."""
        title = html.escape(self.title)
        body = "\n".join(_html(block) for block in self.blocks)
        head = f'<meta charset="utf-8"><title>{title}</title><style>{STYLE}</style>'
        return f"<!doctype html>\n<html><head>{head}</head>\n<body><h1>{title}</h1>\n{body}\n</body></html>\n"

    def markdown(self) -> str:
        """Pictures are links to files in the same folder."""
        return "\n\n".join([f"# {self.title}", *(_markdown(block) for block in self.blocks)]) + "\n"

    def write(self, folder: Path) -> list[Path]:
        """Write report.html, report.md and the pictures; their paths."""
        folder.mkdir(parents=True, exist_ok=True)
        files = {"report.html": self.html(), "report.md": self.markdown()}
        files |= {f"{block.name}.svg": block.svg for block in self.blocks if isinstance(block, Figure)}
        for name, text in files.items():
            (folder / name).write_text(text, encoding="utf-8")
        return [folder / name for name in files]


def _html(block: Block) -> str:
    if isinstance(block, Heading):
        return f"<h{block.level}>{html.escape(block.text)}</h{block.level}>"
    if isinstance(block, Text):
        return f"<p>{html.escape(block.text)}</p>"
    if isinstance(block, Figure):
        return f"<figure>{block.svg}<figcaption>{html.escape(block.caption)}</figcaption></figure>"
    rows = [
        "<tr>" + "".join(f"<{tag}>{html.escape(cell)}</{tag}>" for cell in row) + "</tr>"
        for row, tag in zip(block.rows, ["th", *["td"] * len(block.rows)], strict=False)
    ]
    return f"<table>{''.join(rows)}</table>"


def _markdown(block: Block) -> str:
    if isinstance(block, Heading):
        return f"{'#' * block.level} {_plain(block.text)}"
    if isinstance(block, Text):
        return _plain(block.text)
    if isinstance(block, Figure):
        return f"![{_plain(block.caption)}]({block.name}.svg)"
    lines = [f"| {' | '.join(_plain(cell).replace('|', chr(92) + '|') for cell in row)} |" for row in block.rows]
    lines.insert(1, "|---" + "|---:" * (len(block.rows[0]) - 1) + "|")
    return "\n".join(lines)


def _plain(text: str) -> str:
    """On one line, and no HTML tag, which Markdown would take for one."""
    return " ".join(text.splitlines()).replace("<", "&lt;")
