"""Lint of what does not belong into a repository, and of what is left over."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from .breaks import AGAIN, Case, remove, write

CASES: dict[str, Case] = {
    "model missing": Case(remove("news_fp32"), "news_fp32", "the model is missing", AGAIN),
    "leftover variant": Case(
        lambda root: shutil.copytree(root / "news_encoder_fp32", root / "news_encoder_int8"),
        "news_encoder_int8",
        "belongs to no task here",
        "delete the folder",
    ),
    "no model": Case(write("notes/todo.txt"), "notes", "no config.pbtxt and no version directory", "delete the folder"),
    "hidden folder": Case(write(".ipynb_checkpoints/a"), ".ipynb_checkpoints", "hidden", "delete it"),
    "hidden file": Case(write("news/1/.manifest.swp"), "news/1/.manifest.swp", "hidden", "delete it"),
    "staged in": Case(write("news.new/config.pbtxt"), "news.new", "left over from a publish", "delete it, unless"),
    "staged beside": Case(
        lambda root: (root.parent / f".{root.name}.news.new").mkdir(),
        "../.repository.news.new",
        "left over from a publish",
        "delete it, unless",
    ),
    "file in the root": Case(write("config.pbtxt"), "config.pbtxt", "a file where models belong", "delete it"),
    "file in a model": Case(write("news/labels.txt"), "news/labels.txt", "no part of a model", "delete it"),
    "file in configs": Case(
        write("ner_tokenizer/configs/x.bak"), "ner_tokenizer/configs/x.bak", "no part", "delete it"
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_a_broken_folder_is_found(case: str, lint_root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    CASES[case].check(lint_root, capsys)
