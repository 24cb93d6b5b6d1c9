"""`--json` is an option of every command that prints and ends."""

from __future__ import annotations

import pytest

from ernie_triton import cli

NO_END = ("gateway",)  # serves until it is stopped
COMMANDS = [
    *((verb,) for verb in cli.VERBS if verb not in (*NO_END, "perf", "assets")),
    *((verb, name) for verb, names in cli.INNER.items() for name in names if name != "distill"),
    *(("build", "distill", name) for name in ("task", "encoder", "measure")),
    *(("assets", name) for name in ("verify", "list", "refresh", "train", "figures")),
]


@pytest.mark.parametrize("words", COMMANDS, ids=" ".join)
def test_every_command_has_it(words: tuple[str, ...], capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([*words, "--help"]) == 0
    assert "--json" in capsys.readouterr().out
