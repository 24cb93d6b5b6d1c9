"""The progress of a long run."""

from __future__ import annotations

import io

import pytest

from ernie_triton.batch.progress import FileProgress, duration


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_duration() -> None:
    assert [duration(s) for s in (0, 59.6, 245, 3600, 90061)] == ["0:00", "1:00", "4:05", "1:00:00", "25:01:01"]


def test_a_terminal_has_one_line_that_renews_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    screen, clock = Screen(), Clock()
    progress = FileProgress("topic", 1000, 200, stream=screen, clock=clock)
    progress.update(300, 10, 0)
    assert screen.getvalue() == ""  # too early
    clock.now = 10
    progress.update(400, 1000, 3)
    assert screen.getvalue() == "\rtopic  [########............]  40%  1,000 lines, 3 bad  100/s  0:30 left"
    progress.say("a\nb")
    assert screen.getvalue().endswith("\r" + " " * 72 + "\ra\\nb\n")
    before = len(screen.getvalue())
    progress.clear()
    assert len(screen.getvalue()) == before


def test_a_shorter_state_leaves_nothing_of_the_longer_one() -> None:
    screen, clock = Screen(), Clock()
    progress = FileProgress("t", stream=screen, clock=clock)
    clock.now = 1
    progress.update(1, 100_000, 0)
    clock.now = 100_001
    progress.update(2, 100_000, 0)
    first, second = screen.getvalue().split("\r")[1:]
    assert first == "t  100,000 lines  100,000/s" and second == "t  100,000 lines  1/s" + " " * 6


def test_a_file_gets_whole_lines_now_and_then() -> None:
    log, clock = io.StringIO(), Clock()
    progress = FileProgress("topic", None, stream=log, clock=clock)
    for second in range(1, 61):
        clock.now = second
        progress.update(second, second * 10, 0)
    assert log.getvalue().splitlines() == [f"topic  {n * 200} lines  10/s" for n in (1, 2, 3)]


def test_nothing_but_messages_where_answers_go_to_the_terminal() -> None:
    screen, clock = Screen(), Clock()
    progress = FileProgress("topic", stream=screen, clock=clock, shown=False)
    clock.now = 1e6
    progress.update(1, 1, 1)
    progress.say("line 1: bad")
    assert screen.getvalue() == "line 1: bad\n"
