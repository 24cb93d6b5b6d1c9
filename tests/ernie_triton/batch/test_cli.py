"""Arguments of `ernie-triton predict`, and the messages for those that do not fit together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from ernie_triton.batch import cli as predict_cli
from ernie_triton.cli import main

from ..echo import TASK, Echo


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--output", "o"], "--output goes with --input"),
        (["--strict", "a"], "--strict goes with --input"),
        (["--field", "a=b", "a"], "--field goes with --input"),
        (["--input", "i", "a"], "TEXT and --input cannot both be given"),
        (["--input", "i", "--json"], "--json and -v are for TEXT"),
        (["--repository", "r", "a"], "--repository goes with --local"),
        (["--local", "--url", "h:1", "a"], "--local does without one"),
        (["--batch-size", "0", "a"], "--batch-size must be at least 1"),
        (["--input", "i", "--format", "xml"], "invalid choice: 'xml'"),
        (["--input", ""], "--input is empty"),
        (["--input", "i", "--output", ""], "--output is empty"),
        (["--local", "--repository", "", "a"], "--repository is empty"),
        (["--url", "", "a"], "--url is empty"),
    ],
)
def test_usage_error(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "topic", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("ernie-triton predict: ") and message in error and error.count("\n") == 1


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--help"]) == 0
    help_text = capsys.readouterr().out
    assert "--input titles.txt --output answers.jsonl" in help_text and ".tsv " in help_text
    assert max(map(len, help_text.splitlines())) <= 120


@pytest.fixture
def pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    """`--local` answers by echo, a task with two inputs."""
    task = replace(TASK, inputs=("TEXT", "TEXT_PAIR"))
    monkeypatch.setattr(predict_cli, "LocalTasks", lambda repository: Echo(served_task=task))


@pytest.mark.usefixtures("pairs")
def test_the_parts_of_an_item(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "echo", "--local", "--json", "a\tb", "c", "d\te\tf", "\udcff\tg"]) == 1
    captured = capsys.readouterr()
    assert captured.out.splitlines()[0] == '{"text": "a"}'
    assert captured.err.splitlines() == [
        "ernie-triton predict: text 2: expected 2 parts (TEXT, TEXT_PAIR) with a tab between them, got 1",
        "ernie-triton predict: text 3: expected 2 parts (TEXT, TEXT_PAIR) with a tab between them, got 3",
        "ernie-triton predict: text 4: not UTF-8: byte 0xFF at character 0",
    ]


@pytest.mark.usefixtures("pairs")
@pytest.mark.parametrize(
    ("fields", "message"),
    [
        (["TEXT"], "--field TEXT: expected INPUT=KEY, with an input of TEXT, TEXT_PAIR"),
        (["LABEL=a"], "--field LABEL=a: expected INPUT=KEY, with an input of TEXT, TEXT_PAIR"),
        (["TEXT=a", "text=b"], "--field text=b: TEXT is a already"),
    ],
)
def test_unknown_or_repeated_fields_are_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: list[str], message: str
) -> None:
    words = [word for field in fields for word in ("--field", field)]
    assert main(["predict", "echo", "--local", "--input", str(tmp_path / "i.tsv"), *words]) == 1
    assert capsys.readouterr().err == f"ernie-triton predict: {message}\n"
