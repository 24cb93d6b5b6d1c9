"""The Markdown pages: lines that fit, links that resolve, paths and modules that exist."""

from __future__ import annotations

import importlib.util
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = (".", "docker", "model_repository")
# Written by `ernie-triton perf report` and `ernie-triton compare --markdown`.
UNBOUNDED = ("docs/report", "docs/variants")
WIDTH = 120
README_LINES = 150
TOP = ("builders", "clients", "docker", "docs", "model_repository", "perf", "python_backends", "tests")
PLACEHOLDER = re.compile(r"[A-Z]{3,}|[<*{]")  # as in docs/variants/TASK.md


def pages() -> list[str]:
    files = {page for folder in FOLDERS for page in (ROOT / folder).glob("*.md")}
    files |= {page for folder in ("docs", "builders/ernie_assets") for page in (ROOT / folder).rglob("*.md")}
    return sorted(str(page.relative_to(ROOT)) for page in files)


def prose(text: str) -> Iterator[tuple[int, str]]:
    """(line number, line) of what is neither code nor a table."""
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    ") and not line.lstrip().startswith("|"):
            yield number, line


def table_lines(text: str) -> Iterator[tuple[int, str]]:
    fenced = False
    for number, line in enumerate(text.splitlines(), 1):
        if line.startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith("    ") and line.lstrip().startswith("|"):
            yield number, line


def anchors(page: Path) -> set[str]:
    """Of its headings, as GitHub writes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [page for page in pages() if not page.startswith(UNBOUNDED)])
def test_lines_fit(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    long = [f"{page}:{number}: {len(line)} columns" for number, line in prose(text) if len(line) > WIDTH]
    assert not long


@pytest.mark.parametrize("page", pages())
def test_a_table_has_a_row_per_line(page: str) -> None:
    """A table that an editor wrapped like prose is shown as prose."""
    lines = table_lines((ROOT / page).read_text(encoding="utf-8"))
    wrapped = [f"{page}:{number}" for number, line in lines if not line.rstrip().endswith("|") or "| |--" in line]
    assert not wrapped


@pytest.mark.parametrize("page", pages())
def test_links_resolve(page: str) -> None:
    path = ROOT / page
    for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
        if "://" in link:
            continue
        name, _, anchor = link.partition("#")
        target = (path.parent / name).resolve() if name else path
        assert target.exists(), f"{page}: {link}"
        assert not anchor or anchor in anchors(target), f"{page}: {link}"


@pytest.mark.parametrize("page", pages())
def test_paths_and_modules_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    for code in re.findall(r"`([^`\n]+)`", text):
        for word in re.findall(r"[\w./\-<>*{}]+", code):
            if word.split("/")[0] in TOP and "/" in word and not PLACEHOLDER.search(word):
                assert (ROOT / word).exists(), f"{page}: {word}"
    for module in re.findall(r"python -m (ernie_[\w.]+)", text):
        spec = importlib.util.find_spec(module)
        if spec is not None and spec.submodule_search_locations:
            spec = importlib.util.find_spec(f"{module}.__main__")
        assert spec is not None and spec.origin is not None, f"{page}: {module}"
        assert 'if __name__ == "__main__"' in Path(spec.origin).read_text(encoding="utf-8"), f"{page}: {module}"


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text(encoding="utf-8").splitlines()) <= README_LINES


@pytest.mark.parametrize("package", ["ernie_builders", "ernie_runtime", "ernie_perf"])
def test_architecture_names_every_room(package: str) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (contract,) = [contract for contract in contracts if contract.get("containers") == [package]]
    rooms = {room.strip(" ()") for layer in contract["layers"] for room in layer.split("|")}
    assert {room for room in rooms if f"`{room}`" not in text and f"`{room}/`" not in text} == set()
