"""The commands and settings of the pages are ones that the program has."""

from __future__ import annotations

import contextlib
import io
import re
import shlex
import sys
from collections.abc import Iterator
from dataclasses import fields
from functools import cache

import pytest

from ernie_builders.config.serving import ServingConfig
from ernie_triton import cli

from .test_pages import ROOT, pages

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

SUBCOMMANDS = {
    *cli.VERBS,
    *(f"{verb} {inner}" for verb, names in cli.INNER.items() for inner in names),
    *("build distill task", "build distill encoder", "build distill measure"),
    *(f"assets {verb}" for verb in ("verify", "list", "refresh", "train", "figures")),
}


def commands(page: str) -> Iterator[str]:
    """Commands in code blocks and in the text, continued lines joined."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\\\n", " ")
    for line in text.splitlines():
        candidates = [line.strip()] if line.startswith("    ") else re.findall(r"`([^`]+)`", line)
        yield from (candidate for candidate in candidates if candidate.startswith("ernie-triton "))


@cache
def help_of(subcommand: str) -> str:
    """What `ernie-triton SUBCOMMAND --help` prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        assert cli.main([*subcommand.split(), "--help"]) == 0
    return printed.getvalue()


@pytest.mark.parametrize("page", [page for page in pages() if list(commands(page))])
def test_options_exist(page: str) -> None:
    for command in commands(page):
        words = shlex.split(re.sub(r"[\[\]|]", " ", command), comments=True)[1:]
        words = words[: words.index("--")] if "--" in words else words  # the rest is tritonserver's
        if words[0] == "--version" or words[0].isupper():  # COMMAND
            continue
        assert words[0] in SUBCOMMANDS, f"{page}: {command}"
        subcommand = words[0]
        for word in words[1:]:
            if f"{subcommand} {word}" in SUBCOMMANDS:
                subcommand = f"{subcommand} {word}"
        for option in (word.partition("=")[0] for word in words if word.startswith("--")):
            known = option in ("--help", "...") or re.search(rf"{option}\b", help_of(subcommand))
            assert known, f"{page}: {command}: {option}"


def test_settings_exist() -> None:
    tables = [
        table
        for page in pages()
        for table in re.findall(r"```toml\n(.*?)```", (ROOT / page).read_text(encoding="utf-8"), re.DOTALL)
    ]
    known = {field.name for field in fields(ServingConfig)}
    shown = {name for table in tables for task in tomllib.loads(table)["tasks"].values() for name in task["serving"]}
    assert shown >= {"slo_ms", "priorities", "token_budget"}
    assert shown <= known


@pytest.mark.parametrize("page", pages())
def test_extras_and_targets_exist(page: str) -> None:
    text = (ROOT / page).read_text(encoding="utf-8")
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    for extras in re.findall(r"pip install '\.\[([\w,-]+)\]'", text):
        assert set(extras.split(",")) <= set(project["optional-dependencies"]), f"{page}: {extras}"
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make ([a-z]+)", text, re.MULTILINE)) <= targets
