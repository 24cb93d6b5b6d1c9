"""Exit codes and argument types that the commands share."""

from __future__ import annotations

import argparse
from collections.abc import Callable

import pytest

from ernie_builders.errors import BuildError
from ernie_perf import command
from ernie_perf.errors import PeerError, PerfError, RunError
from ernie_runtime.errors import ErnieError
from ernie_serve import ServeError


def raising(error: BaseException) -> Callable[[], int]:
    def work() -> int:
        raise error

    return work


@pytest.mark.parametrize(
    "error", [RunError("no run"), PeerError("no run"), BuildError("no run"), ErnieError("no run"), ServeError("no run")]
)
def test_an_expected_error_is_one_line(error: Exception, capsys: pytest.CaptureFixture[str]) -> None:
    """With the command's name, and the exit code that the command says."""
    assert command.run_command("perf x", raising(error)) == 1
    assert command.run_command("perf x", raising(error), error_code=2) == 2
    assert capsys.readouterr().err == "perf x: no run\nperf x: no run\n"


def test_the_disk_fails(capsys: pytest.CaptureFixture[str]) -> None:
    """The file is named where the system says which."""
    assert command.run_command("perf x", raising(PermissionError(13, "Permission denied", "/runs/1"))) == 1
    assert command.run_command("perf x", raising(OSError(28, "No space left on device"))) == 1
    assert capsys.readouterr().err == ("perf x: /runs/1: Permission denied\nperf x: output: No space left on device\n")


def test_interrupted(capsys: pytest.CaptureFixture[str]) -> None:
    """130, as shells have it."""
    assert command.run_command("perf x", raising(KeyboardInterrupt()), when_interrupted="stopped") == 130
    assert capsys.readouterr().err == "\nperf x: stopped\n"


def test_a_bug_is_not_hidden() -> None:
    """Anything else keeps its traceback; work's own exit code is handed on."""
    with pytest.raises(ZeroDivisionError):
        command.run_command("perf x", raising(ZeroDivisionError()))
    assert command.run_command("perf x", lambda: 7) == 7


def test_lists_of_numbers() -> None:
    """Whole numbers keep their order; rates ascend; each once; '' for none."""
    assert command.positive_ints("8, 1,8,,32") == (8, 1, 32)
    assert command.positive_floats("200,0.5, 50,50.0") == (0.5, 50.0, 200.0)
    assert command.positive_ints("") == command.positive_floats("") == ()
    assert command.split_names(" a ,,b, ") == ["a", "b"]


@pytest.mark.parametrize(
    ("convert", "text"),
    [
        *((command.positive_int, text) for text in ("0", "-1")),
        *((command.positive_float, text) for text in ("0", "-0.1", "nan", "inf")),
        *((command.milliseconds, text) for text in ("0ms", "ms", "1.2.3", "5 minutes", "-5ms", "")),
    ],
)
def test_a_number_that_is_not_positive_is_refused(convert: Callable[[str], object], text: str) -> None:
    """Refused with the text that was given."""
    with pytest.raises(argparse.ArgumentTypeError) as error:
        convert(text)
    assert str(error.value).startswith(text)


@pytest.mark.parametrize(("text", "ms"), [("50ms", 50), ("0.05s", 50), ("50", 50), (" 1.5 s ", 1500), ("2 ms", 2)])
def test_times(text: str, ms: float) -> None:
    """Milliseconds where nothing else is said."""
    assert command.milliseconds(text) == pytest.approx(ms)


def test_every_error_is_one_of_the_package() -> None:
    """So that one line catches them."""
    assert issubclass(RunError, PerfError) and issubclass(PeerError, PerfError)
