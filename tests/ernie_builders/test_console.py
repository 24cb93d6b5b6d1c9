"""One-line errors of the builders' commands."""

from __future__ import annotations

import errno

import pytest

from ernie_builders.console import run_command
from ernie_builders.errors import DataError


def failing(error: Exception) -> int:
    def work() -> None:
        raise error

    return run_command("tool", work)


def test_a_fault_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert failing(DataError("x.csv: no rows")) == 1
    assert capsys.readouterr().err == "tool: x.csv: no rows\n"
    assert failing(OSError(errno.EACCES, "Permission denied", "x.csv")) == 1
    assert capsys.readouterr().err == "tool: x.csv: Permission denied\n"


def test_a_reader_that_has_had_enough_is_no_fault(capsys: pytest.CaptureFixture[str]) -> None:
    """`ernie-triton evaluate ... | head`: ernie_triton.cli ends quietly."""
    with pytest.raises(BrokenPipeError):
        failing(BrokenPipeError(errno.EPIPE, "Broken pipe"))
    assert capsys.readouterr().err == ""
