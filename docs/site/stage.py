"""The pages of the site: the repository's own, in one folder, with links that work there.

On GitHub a page may link to any file. The site has the pages only, so that a link to another page leads to it here, and
one to a source file to a page that shows the source.
"""

from __future__ import annotations

import ast
import html
import os
import re
import shutil
from pathlib import Path

from notebooks import page, read  # beside this file, as hooks.py imports this one
from pygments import highlight
from pygments.formatters import HtmlFormatter
from pygments.lexer import Lexer
from pygments.lexers import TextLexer, get_lexer_for_filename
from pygments.util import ClassNotFound

ROOT = Path(__file__).resolve().parents[2]
OWN = Path(__file__).resolve().parent
MOVED = {
    "README.md": "index.md",
    "README.zh.md": "index.zh.md",
    "ARCHITECTURE.md": "architecture.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "docker/README.md": "docker.md",
    "docker/README.zh.md": "docker.zh.md",
    "model_repository/README.md": "model_repository.md",
}
ASSETS = ("style.css", "logo.svg")
LINK = re.compile(r"(!?\[)([^\]]*)(\]\()([^)\s]+)(\))")
FILE_NAME = re.compile(r"(?:[\w-]+/)*[\w-]+(?:\.zh)?\.md")
CODE = re.compile(r"(^```.*?^```$|^ {4}[^\n]*$)", re.MULTILINE | re.DOTALL)
ZH = ".zh.md"
# A browser shows a line break as a blank, also between Chinese characters.
CHINESE_BREAK = re.compile(
    r"(?<=[\u2018-\u201f\u3000-\u303f\u4e00-\u9fff\uff00-\uffef])\n *(?=[\u4e00-\u9fff“（《`\[])"
)
OTHER_LANGUAGE = re.compile(r"^\[(?:中文|English)\]\([^)]*\)\n\n", re.MULTILINE)  # the site has its own switch
STYLE = (
    "body{max-width:60rem;margin:2rem auto;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;color-scheme:light dark}"
    "pre{font:13px/1.5 ui-monospace,monospace;overflow-x:auto}"
    f"@media(prefers-color-scheme:light){{{HtmlFormatter(style='default').get_style_defs()}}}"
    f"@media(prefers-color-scheme:dark){{{HtmlFormatter(style='github-dark').get_style_defs()}}}"
)
SOURCE = """<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{name}</title><style>{style}</style><h1>{name}</h1>{body}</html>
"""


def stage(folder: Path) -> None:
    """Write all pages and their pictures to `folder`, which is emptied before."""
    shutil.rmtree(folder, ignore_errors=True)
    pages = {place: ROOT / name for name, place in MOVED.items() if (ROOT / name).is_file()}
    for path in sorted((ROOT / "docs").rglob("*")):
        if path.is_file() and OWN not in path.parents:
            pages[str(path.relative_to(ROOT / "docs"))] = path
    sources = set[Path]()
    for place, path in pages.items():
        target = folder / place
        target.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".ipynb":
            for suffix, language in ((".md", "en"), (ZH, "zh")):
                target.with_suffix(suffix).write_text(page(read(path), language), encoding="utf-8")
            continue
        if path.suffix != ".md":
            shutil.copyfile(path, target)
            continue
        text = OTHER_LANGUAGE.sub("", path.read_text(encoding="utf-8"), count=1)
        text = relink(text, path, place, sources)
        target.write_text(text, encoding="utf-8")
    shown = set[Path]()
    while sources - shown:  # the page of a folder names the sources in it
        for path in sorted(sources - shown):
            write_source(folder, path, sources)
            shown.add(path)
    for name in ASSETS:
        (folder / "assets").mkdir(exist_ok=True)
        shutil.copyfile(OWN / name, folder / "assets" / name)


def place_of(path: Path, sources: set[Path]) -> str:
    """Where on the site a file or folder of the repository is shown; `sources` takes those that need a page."""
    name = str(path.relative_to(ROOT))
    if name in MOVED:
        return MOVED[name]
    if path.is_file() and path.is_relative_to(ROOT / "docs") and path.suffix in (".md", ".svg", ".png", ".ipynb"):
        return str(path.relative_to(ROOT / "docs")).replace(".ipynb", ".md")
    sources.add(path)
    return source_page(path)


def source_page(path: Path) -> str:
    """The page that shows a source. No dot in its name: mkdocs-static-i18n takes `.py.html` for a language."""
    return f"source/{str(path.relative_to(ROOT)).replace('.', '_')}.html"


def relink(text: str, path: Path, place: str, sources: set[Path]) -> str:
    """The text of the page at `path` with its links as seen from `place`; code stays as it is."""

    def follow(match: re.Match[str]) -> str:
        name, mark, anchor = match[4].partition("#")
        if "://" in name or not name:
            return match[0]
        source = Path(os.path.normpath(path.parent / name))
        words = title_of(source) if FILE_NAME.fullmatch(match[2]) else match[2]
        target = place_of(source, sources)
        if place.endswith(ZH) and target.endswith(ZH):  # mkdocs-static-i18n knows a page by its name without language
            target = f"{target.removesuffix(ZH)}.md"
        url = os.path.relpath(target, os.path.dirname(place) or ".")
        return f"{match[1]}{words}{match[3]}{url}{mark}{anchor}{match[5]}"

    def change(part: str) -> str:
        part = LINK.sub(follow, part)
        return CHINESE_BREAK.sub("", part) if place.endswith(ZH) else part

    return "".join(part if CODE.fullmatch(part) else change(part) for part in CODE.split(text))


def title_of(page: Path) -> str:
    """The heading of a page: what a link says on the site, where on GitHub it names the file."""
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def write_source(folder: Path, path: Path, sources: set[Path]) -> None:
    """A page that shows a source file, or what is in a folder: HTML of its own, the same for every language."""
    name = str(path.relative_to(ROOT))
    if path.is_dir():
        modules = sorted(module for module in path.glob("*.py") if module.name != "__init__.py")
        sources.update(modules)
        links = [
            f'<li><a href="{path.name}/{Path(source_page(module)).name}">{module.name}</a>: {summary(module)}'
            for module in modules
        ]
        body = f"<ul>{''.join(links)}</ul>"
    else:
        body = highlight(path.read_text(encoding="utf-8"), lexer_of(path), HtmlFormatter(nobackground=True))
    target = folder / source_page(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text(SOURCE.format(name=name, style=STYLE, body=body), encoding="utf-8")


def lexer_of(path: Path) -> Lexer:
    """For highlighting; plain text where nothing is known."""
    try:
        return get_lexer_for_filename(path.name)
    except ClassNotFound:
        return TextLexer()


def summary(module: Path) -> str:
    """The first line of a module's docstring."""
    docstring = ast.get_docstring(ast.parse(module.read_text(encoding="utf-8"))) or ""
    return html.escape(docstring.partition("\n")[0])
