"""Arguments of `ernie-triton predict` that do not go together."""

from __future__ import annotations

import pytest

from ernie_triton.cli import main


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--output", "o"], "--output goes with --input"),
        (["--strict", "a"], "--strict goes with --input"),
        (["--field", "a=b", "a"], "--field goes with --input"),
        (["--input", "i", "a"], "TEXT and --input cannot both be given"),
        (["--input", "i", "--json"], "--json and -v are for TEXT"),
        (["--repository", "r", "a"], "--repository goes with --local"),
        (["--local", "--url", "h:1", "a"], "--local does without one"),
        (["--batch-size", "0", "a"], "--batch-size must be at least 1"),
        (["--input", "i", "--format", "csv"], "invalid choice: 'csv'"),
    ],
)
def test_wrong_usage(words: list[str], told: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "topic", *words]) == 2
    error = capsys.readouterr().err
    assert error.startswith("usage: ernie-triton predict") and told in error.splitlines()[-1]


def test_the_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["predict", "--help"]) == 0
    told = capsys.readouterr().out
    assert "--input titles.txt --output answers.jsonl" in told and ".tsv " in told
    assert max(map(len, told.splitlines())) <= 120
