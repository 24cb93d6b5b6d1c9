"""The table of `ernie-triton top`, and what its command line refuses."""

from __future__ import annotations

import pytest
from rich.console import Console

from ernie_triton.monitor import top

from .test_rates import BEFORE, rates


def shown(everything: bool = False, after: str | None = None, width: int = 120) -> str:
    console = Console(width=width)
    with console.capture() as capture:
        console.print(top.table(rates(after=after) if after else rates(), everything))
    return capture.get()


def test_busy_models_are_shown_with_all_their_figures() -> None:
    lines = shown().splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in lines if line.strip().startswith("news")}
    assert rows["news"] == ["5.0", "0", "0.0", "0.0", "0.0", "0", "1.0", "0.5"]  # it has no batches and no padding
    assert rows["news_encoder_fp32"] == ["1.0", "8.0", "8.0", "1.0", "2.0", "3.5", "5", "10%"]
    assert "news_fp32" not in rows
    assert any("4.0 s, CPU of the machine 75%" in line for line in lines)


def test_all_shows_idle_models_too() -> None:
    assert "news_fp32" in shown(everything=True)


def test_nothing_to_show_says_how_to_see_more() -> None:
    assert "no requests in this interval (--all shows idle models)" in shown(after=BEFORE)


def test_every_column_is_readable_in_a_hundred_columns() -> None:
    assert all(column in shown(width=100) for column in top.COLUMNS)


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("--interval", "0", "--interval is 0.0; give 0.1 to 3600 seconds"),
        ("--count", "-1", "--count is -1; it must be 0 or above"),
    ],
)
def test_options_out_of_range_are_one_line(
    capsys: pytest.CaptureFixture[str], option: str, value: str, message: str
) -> None:
    with pytest.raises(SystemExit):
        top.main([option, value])
    assert capsys.readouterr().err.startswith(f"ernie-triton top: {message}")


def test_a_server_that_is_down_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert top.main(["--metrics-url", "127.0.0.1:1"]) == 1
    assert capsys.readouterr().err.startswith("ernie-triton top: no metrics at 127.0.0.1:1: ")
