"""Options of `serve` for traces."""

from __future__ import annotations

import pytest

from ernie_serve import cli


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trace-every", "2"], "--trace-every goes with --trace"),
        (["--trace", "otlp://a", "--trace-every", "0"], "0 is not a whole number, 1 or above"),
    ],
)
def test_options_that_do_not_fit_are_one_line(
    capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    assert cli.main(words) == 2
    assert message in capsys.readouterr().err
