"""What commands print: plans of builds, and faults of one line."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from ernie_builders import build_all

Plan = Callable[..., str]
OneLine = Callable[..., str]


def command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The plan of a command line over the tasks that ship."""
    return plan_of(build_all.main(["--dry-run", *arguments]), capsys)


def plan_of(code: int, capsys: pytest.CaptureFixture[str]) -> str:
    """What was printed; the exit code is 1 if the plan says that a build would stop."""
    text = capsys.readouterr().out
    assert code == (1 if re.search(r"^  (stages)? +stops  ", text, re.M) else 0)
    return text


def row(text: str, label: str) -> str:
    """The text behind a label."""
    (value,) = re.findall(rf"^  {label} +(.*)$", text, re.M)
    return str(value)


def one_object(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    """What a command printed with --json: one line on standard output, an object."""
    (line,) = capsys.readouterr().out.splitlines()
    document: dict[str, Any] = json.loads(line)
    return document


def fault_line(code: int, *messages: str, program: str, capsys: pytest.CaptureFixture[str]) -> str:
    """Check that a command failed with exit code 1 and one line on standard error; returns the line."""
    errors = capsys.readouterr().err
    assert code == 1
    assert errors.startswith(f"{program}: ")
    assert errors.count("\n") == 1
    for message in messages:
        assert message in errors
    return errors
