"""The site builds without a warning (links and anchors are checked), and its pages load nothing from elsewhere."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from ernie_gateway.openapi import document
from ernie_triton import AsyncClient, Client, cli

from .test_pages import ROOT

LOADED = re.compile(r"""<(?:script|img|iframe)[^>]*?\bsrc="?([^"\s>]+)|<link[^>]*?\bhref="?([^"\s>]+)""")
OF_THE_PAGE = re.compile(r"rel=\"?(?:canonical|alternate|next|prev)")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--quiet", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=300)
    assert built.returncode == 0, built.stderr
    return folder


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    pages = list(site.rglob("*.html"))
    assert len(pages) > 50
    for page in pages:
        for loaded in LOADED.finditer(page.read_text(encoding="utf-8")):
            assert "//" not in (loaded[1] or loaded[2]) or OF_THE_PAGE.search(loaded[0]), f"{page.name}: {loaded[0]}"


def test_the_reference_has_every_command_method_and_address(site: Path) -> None:
    commands = (site / "reference" / "cli.html").read_text(encoding="utf-8")
    assert [verb for verb in cli.VERBS if f'id="{verb}' not in commands] == []
    sdk = (site / "reference" / "sdk.html").read_text(encoding="utf-8")
    for client in (Client, AsyncClient):
        methods = [f".{client.__name__}.{name}" for name in dir(client) if not name.startswith("_")]
        assert len(methods) > 10
        assert [name for name in methods if name not in sdk] == []
    rest = (site / "reference" / "rest.html").read_text(encoding="utf-8")
    assert [path for path in document([])["paths"] if f" {path}<" not in rest] == []


def test_the_search_knows_words_of_both_languages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text(encoding="utf-8"))
    assert index["config"]["lang"] == ["en", "zh"]
    chinese = [entry["text"] for entry in index["docs"] if entry["location"].startswith("zh/")]
    assert any("checkpoint" in text for text in chinese)
    assert any("微调\u200b" in text for text in chinese)  # where jieba parts words, the site's script parts them, too
