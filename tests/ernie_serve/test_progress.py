"""Progress on standard error: every change on a terminal, a line now and then in a file."""

from __future__ import annotations

import sys

import pytest

from ernie_serve import cli


@pytest.mark.parametrize(("terminal", "lines"), [(True, 85), (False, 2)])
def test_progress_is_not_repeated_in_a_file(
    terminal: bool, lines: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    clock = iter(i / 2 for i in range(1000))  # two models a second
    monkeypatch.setattr(cli.time, "monotonic", lambda: next(clock))
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal)
    show = cli._progress()
    for ready in range(1, 86):
        show(ready, 85)
    shown = capsys.readouterr()
    assert shown.out == "" and len(shown.err.splitlines()) == lines
