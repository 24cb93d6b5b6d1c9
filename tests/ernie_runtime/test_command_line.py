"""The parser of every command: one line for a fault, twins in the environment, defaults shown, completion."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ernie_runtime.command_line import CommandLine


def command() -> CommandLine:
    p = CommandLine(prog="tool")
    p.add_argument("--url", default="127.0.0.1:8001", help="of the server")
    p.add_argument("--http-port", type=int, required=True, help="of the server")
    p.add_argument("--until", choices=("export", "publish"), default="publish")
    p.add_argument("--json", action="store_true", help="one object")
    return p


@pytest.fixture(autouse=True)
def _no_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("ERNIE_TRITON_")]:
        monkeypatch.delenv(name)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--http-port", "1", "--jsom"], "no option --jsom; did you mean --json?"),
        (["--http-port", "1", "--zzzz=3"], "no option --zzzz"),
        (["--http-port", "1", "more"], "one argument too many: 'more'"),
        (["--http-port", "x"], "argument --http-port: invalid int value: 'x'"),
        ([], "the following arguments are required: --http-port"),
    ],
)
def test_a_fault_is_one_line(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stop:
        command().parse_args(words)
    assert stop.value.code == 2
    assert capsys.readouterr().err == f"tool: {message} (`tool --help`)\n"


def test_a_choice_that_was_meant(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command().parse_args(["--http-port", "1", "--until", "exprot"])
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "did you mean export?" in error


def test_what_is_typed_goes_before_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ERNIE_TRITON_URL", "server:1")
    monkeypatch.setenv("ERNIE_TRITON_HTTP_PORT", "9000")
    parser = command()
    parsed = parser.parse_args([])
    assert (parsed.url, parsed.http_port) == ("server:1", 9000)
    assert parser.from_environment == {"url", "http_port"}
    parsed = parser.parse_args(["--url", "other:2"])
    assert parsed.url == "other:2" and parser.from_environment == {"http_port"}


def test_a_faulty_twin_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("ERNIE_TRITON_HTTP_PORT", "many")
    with pytest.raises(SystemExit):
        command().parse_args([])
    expected = "tool: ERNIE_TRITON_HTTP_PORT=many, which stands for --http-port: invalid int value: 'many'"
    assert capsys.readouterr().err == f"{expected} (`tool --help`)\n"


def test_help_shows_defaults_and_twins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv("ERNIE_TRITON_HTTP_PORT", "9000")
    text = command().format_help()
    assert "of the server (default: 127.0.0.1:8001)" in text and "[ERNIE_TRITON_HTTP_PORT]" in text
    assert "one object\n" in text  # a switch has no default to show


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ernie-triton pre", {"predict"}),
        ("ernie-triton tasks --", {"--url", "--json", "--help"}),
        ("ernie-triton perf plan --ra", {"--rate"}),
    ],
)
def test_completions(line: str, expected: set[str], tmp_path: Path) -> None:
    """As bash asks argcomplete, which answers on descriptor 8."""
    answers = tmp_path / "answers"
    environment = {
        **{name: value for name, value in os.environ.items() if name != "COLUMNS"},
        **{"_ARGCOMPLETE": "1", "COMP_LINE": line, "COMP_POINT": str(len(line)), "COMP_TYPE": "9"},
        "_ARGCOMPLETE_STDOUT_FILENAME": str(answers),
    }
    subprocess.run([sys.executable, "-m", "ernie_triton"], env=environment, check=False, timeout=60)
    found = {word.strip() for word in answers.read_text(encoding="utf-8").split("\x0b")}
    assert expected <= found and "--quick" not in found
