"""The command line accepts the commands of docs/pretraining.md."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest

from ernie_builders.options import parser as build_parser
from ernie_builders.pretraining.options import parser, request_of, shown_command

PAGE = Path(__file__).resolve().parents[3] / "docs" / "pretraining.md"


def commands() -> list[list[str]]:
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [shlex.split(line.strip()) for line in text.splitlines() if line.startswith("    ernie-triton build ")]


@pytest.mark.parametrize(
    "arguments", [arguments for arguments in commands() if arguments[2] == "pretrain"], ids=" ".join
)
def test_pretrain(arguments: list[str]) -> None:
    request = request_of(parser().parse_args(arguments[3:]), arguments[3:])
    assert request.config.steps > 0 and request.output.parts[0] == "build"


def test_there_are_commands_of_each_kind() -> None:
    all_commands = commands()
    assert {arguments[2] for arguments in all_commands} >= {"pretrain", "convert-encoder", "--tasks"}
    assert {word for arguments in all_commands for word in arguments} >= {"ids", "packed", "bf16", "embedded"}
    for arguments in all_commands:
        if arguments[2] == "--tasks":
            build_parser().parse_args(arguments[2:])


def test_the_card_has_no_path_of_this_machine() -> None:
    arguments = ["--data", "/home/me/a.txt", "/home/me/b", "--output=/home/me/out", "--steps", "5", "--text", "a/b"]
    assert shown_command(arguments) == "ernie-triton build pretrain --data a.txt b --output=out --steps 5 --text a/b"
