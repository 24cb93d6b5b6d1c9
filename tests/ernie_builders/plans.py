"""Plans of builds, and what they say."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from ernie_builders import build_all

Plan = Callable[..., str]


def command(*arguments: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The plan of a command line over the tasks that ship."""
    assert build_all.main(["--dry-run", *arguments]) == 0
    return capsys.readouterr().out


def row(text: str, label: str) -> str:
    """The text behind a label."""
    (value,) = re.findall(rf"^  {label} +(.*)$", text, re.M)
    return str(value)
