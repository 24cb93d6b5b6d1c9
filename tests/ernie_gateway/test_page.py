"""The files of the page: small, complete, nothing from other hosts, both languages."""

from __future__ import annotations

import re

import pytest

from ernie_gateway.routes.page import FILES, STATIC

LIMIT = 150_000  # bytes, uncompressed
NAMESPACE = "http://www.w3.org/2000/svg"
SOURCES = [name for name in FILES if not name.startswith("vendor/")]


def test_the_page_is_small() -> None:
    assert sum(len(content) for content, _ in FILES.values()) < LIMIT


def test_every_file_is_served() -> None:
    names = {path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*") if path.is_file()}
    assert names == set(FILES)


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_comes_from_other_hosts(name: str) -> None:
    text = FILES[name][0].decode().replace(NAMESPACE, "")
    assert not re.findall(r"(?:https?:)?//[a-z][\w-]*\.[a-z]", text)


@pytest.mark.parametrize("name", SOURCES)
def test_what_a_file_loads_exists(name: str) -> None:
    text = FILES[name][0].decode()
    loaded = re.findall(r'from "\./([^"]+)"', text) + re.findall(r'(?:src|href)="/static/([^"]+)"', text)
    assert set(loaded) <= set(FILES)


def test_every_word_has_both_languages() -> None:
    table = FILES["i18n.js"][0].decode()
    words = dict(re.findall(r"(\w+): (\[[^\]]*\])", table.partition("};")[0]))
    assert all(len(re.findall(r'"(?:[^"\\]|\\.)*"', pair)) == 2 for pair in words.values())
    used = {word for name in SOURCES for word in re.findall(r'\bt\("(\w+)"\)', FILES[name][0].decode())}
    assert used and used <= set(words)


def test_the_licences_of_what_is_vendored_are_there() -> None:
    text = FILES["vendor/LICENSES.txt"][0].decode()
    assert "Apache License" in text
    assert "Permission is hereby granted" in text
    assert "preact-htm.js" in text
